import { setTimeout as sleep } from 'node:timers/promises';
import type { ObservableInput } from 'rxjs';
import type { Broker } from '../broker/broker.js';
import type { Leases } from '../cluster/leases.js';
import { BrokerUnavailableError, FeedPositionError } from '../errors/broker.errors.js';
import type { Serialise } from '../message/content.js';
import { isEnd } from '../message/end.js';
import { type Content, type FeedItem, type FeedMessage, isMessage } from '../message/message.js';
import type { Position } from '../message/position.js';
import type { Definitions } from '../pubsub/definitions.js';
import { backoff } from '../time/backoff.js';
import { itemsOf } from './items.js';
import type { RunOptions } from './run.options.js';

/** The delays before a message is published again, while the broker is unavailable. */
export const retryDelays = { minMs: 150, maxMs: 2000 };
/** How many bytes are read at once of what others have published. */
const pageBytes = 65_536;
/** How many characters of text are joined at most. */
const longestText = 16_384;

/** Makes the messages of a feed. The signal is aborted when the feed is stopped or ended, and when the node shuts down or loses the feed. */
export type Producer = (signal: AbortSignal) => ObservableInput<FeedItem> | Promise<ObservableInput<FeedItem>>;

/** What runs need of the module. */
export interface RunContext {
  readonly broker: Broker;
  readonly leases: Leases;
  readonly serialise: Serialise;
  readonly definitions: Definitions | undefined;
}

/**
 * Publishes what a producer makes to a feed, one message after the other: the producer waits for the broker, and for no client.
 *
 * Each message is expected behind the one before it. So a run that has lost its lease, and does not know it, cannot publish behind what
 * the next one has.
 */
export class Run {
  /** Whether the feed's end is not this run's to tell. */
  isGivenUp = false;
  private readonly controller = new AbortController();
  private text: { type: string | undefined; pieces: string[]; length: number } | undefined = undefined;
  private timer: NodeJS.Timeout | undefined = undefined;
  /** The messages on their way, one after the other. */
  private storing: Promise<void> = Promise.resolve();

  constructor(
    private readonly context: RunContext,
    readonly feed: string,
    readonly options: RunOptions,
    private after: Position,
  ) {}

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Stops the producer, and leaves the feed to others. What is not published yet is dropped. */
  giveUp(reason: unknown): void {
    this.isGivenUp = true;
    this.stop(reason);
  }

  /** Stops the producer. */
  stop(reason: unknown): void {
    clearTimeout(this.timer);
    this.controller.abort(reason);
  }

  /**
   * Has a producer make its source.
   *
   * @returns undefined where the run has been given up before that: a source that comes later is not begun
   * @throws what the producer throws
   */
  async begin(producer: Producer): Promise<ObservableInput<FeedItem> | undefined> {
    const { signal } = this;
    const aborted = new Promise<undefined>((resolve) => signal.addEventListener('abort', () => resolve(undefined), { once: true }));
    const making = (async () => producer(signal))();
    const source = await Promise.race([aborted, making]); // a producer that heeds its signal may fail at the same moment, which tells nothing
    if (!signal.aborted) return source;
    making.then((late) => discard(late as ObservableInput<FeedItem>, signal)).catch(() => {});
    return undefined;
  }

  /**
   * Publishes all of a source.
   *
   * @throws what the source fails with, what the broker rejects a message with, and the reason for which it was stopped
   */
  async publish(source: ObservableInput<FeedItem>): Promise<void> {
    try {
      for await (const item of itemsOf(source, this.signal)) {
        const message: FeedMessage = isMessage(item) ? item : { data: item };
        const { type = this.options.type, data } = message;
        if (typeof data === 'string' && this.options.coalesceMs) await this.join(data, type, this.options.coalesceMs);
        else {
          await this.flush();
          await this.append(this.contentOf(data, type));
        }
      }
      await this.flush();
    } catch (error) {
      await this.flush().catch(() => {}); // what the source made before it failed
      throw error;
    }
    this.signal.throwIfAborted();
  }

  /** Waits for the broker only where too much text waits for it. */
  private async join(piece: string, type: string | undefined, coalesceMs: number): Promise<void> {
    if (this.text && this.text.type !== type) await this.flush();
    this.text ??= { type, pieces: [], length: 0 };
    this.text.pieces.push(piece);
    this.text.length += piece.length;
    if (this.text.length >= longestText) await this.flush();
    else this.timer ??= setTimeout(() => this.flushLater(), coalesceMs);
  }

  /** While the broker is busy, what comes is joined as well. */
  private flushLater(): void {
    this.storing.then(() => this.flush()).catch((error) => this.stop(error));
  }

  private async flush(): Promise<void> {
    const { text } = this;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.text = undefined;
    await (text ? this.append(this.contentOf(text.pieces.join(''), text.type)) : this.storing);
  }

  private contentOf(data: unknown, type: string | undefined): Content | Promise<Content> {
    const { definitions, serialise } = this.context;
    return definitions ? definitions.contentOf(this.feed, data, type, serialise) : serialise(data, type);
  }

  private append(content: Content | Promise<Content>): Promise<void> {
    this.storing = this.storing.then(async () => this.store(await content));
    return this.storing;
  }

  private async store(content: Content): Promise<void> {
    const { context, feed, signal } = this;
    let mayBeStored = false;
    for (let attempt = 0; ; attempt += 1) {
      signal.throwIfAborted();
      try {
        const { epoch, offset } = await context.broker.publish(feed, content, { expected: this.after });
        this.after = { epoch, offset };
        return;
      } catch (error) {
        if (error instanceof FeedPositionError) {
          if (!context.leases.holds(feed)) throw error;
          if (await this.advance(mayBeStored ? content : undefined)) return;
        } else if (error instanceof BrokerUnavailableError) {
          mayBeStored ||= !error.isNotStored;
          await sleep(backoff(attempt, retryDelays), undefined, { signal });
        } else throw error;
      }
    }
  }

  /**
   * Goes on behind what was published to the feed since.
   *
   * @param awaited what this run may have published itself, without being told so
   * @returns whether that is stored
   */
  private async advance(awaited: Content | undefined): Promise<boolean> {
    const { broker } = this.context;
    for (;;) {
      const { messages, after, end, hasMore } = await broker.read(this.feed, this.after, pageBytes);
      const own = awaited && messages.find((message) => isSame(message, awaited));
      if (own) {
        this.after = { epoch: own.epoch, offset: own.offset };
        return true;
      }
      this.after = { epoch: after.epoch, offset: end };
      if (!hasMore || messages.some(isEnd)) return false;
    }
  }
}

/** Frees what a source has that is not begun. */
async function discard(source: ObservableInput<FeedItem>, signal: AbortSignal): Promise<void> {
  await itemsOf(source, signal).next();
}

function isSame(one: Content, other: Content): boolean {
  return one.type === other.type && one.isJson === other.isJson && one.text === other.text;
}
