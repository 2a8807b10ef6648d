import { type JetStreamClient, jetstream } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { MessageTooLargeError } from '../../errors/broker.errors.js';
import { type Content } from '../../message/message.js';
import { type HistoryBounds } from '../broker.js';
import type { NatsSettings } from './nats.options.js';
import { decode, encode, feedOf, subjectOf } from './nats-codec.js';
import type { NatsFeeds } from './nats-feeds.js';
import { findServer } from './nats-probe.js';
import { type Delivery, heartbeatMs, NatsStream } from './nats-stream.js';
import { Waiters } from './waiters.js';

/** How long the engine may take to answer, in milliseconds. */
const answerMs = 3000;
/** How long it may take to keep a message, in milliseconds. */
const publishMs = 5000;
/** How often it is asked whether it is there, in milliseconds. */
const checkMs = 2000;
/** After how many heartbeats that did not come a consumer is gone. */
const silentBeats = 4;
/** How many questions about messages go out together. */
const questions = 100;

/** A message that has come; undefined content is somebody else's. */
interface Arrival {
  readonly sequence: number;
  readonly time: number;
  readonly feed: string;
  readonly content: Content | undefined;
}

/** What a session is opened with. */
export interface SessionContext {
  readonly settings: NatsSettings;
  readonly bounds: HistoryBounds;
  readonly feeds: NatsFeeds;
  /** Whether the stream is to get this process's limits. */
  readonly isFirst: boolean;
  readonly signal: AbortSignal;
}

/**
 * One connection to NATS and its consumer of the stream, for as long as both work. Whatever goes wrong ends the session, and the next
 * one begins where this one has come to: there is one way to start, to reconnect, and to get over a consumer that is gone.
 */
export class NatsSession {
  /** Resolves with the cause when the session has ended. */
  readonly ended: Promise<Error>;
  private readonly client: JetStreamClient;
  private readonly waiters = new Waiters();
  private arrivals: Arrival[] = [];
  private isLooking = false;
  /** Gaps before messages up to this sequence have been looked into. */
  private lookedUpTo = 0;
  private check: NodeJS.Timeout | undefined = undefined;
  private asking: Promise<void> | undefined = undefined;
  private toAsk: Promise<void> | undefined = undefined;
  private cause: Error | undefined = undefined;
  private readonly abort = () => this.end(this.context.signal.reason);
  private tellEnd!: (cause: Error) => void;

  private constructor(
    private readonly connection: NatsConnection,
    private readonly stream: NatsStream,
    private readonly context: SessionContext,
  ) {
    this.client = jetstream(connection, { timeout: publishMs });
    this.ended = new Promise((resolve) => {
      this.tellEnd = resolve;
    });
    context.signal.addEventListener('abort', this.abort);
    void connection.closed().then((error) => this.end(error ?? new Error('the connection has been closed')));
  }

  /** Resolves when this process has all that the stream has. */
  static async open(context: SessionContext): Promise<NatsSession> {
    const { settings, bounds, signal } = context;
    const { host, port } = await findServer(settings, answerMs, signal);
    const connection = await connect({
      ...settings.client,
      servers: `${host.includes(':') ? `[${host}]` : host}:${port}`,
      timeout: answerMs,
      reconnect: false,
      noAsyncTraces: true,
    });
    const session = new NatsSession(connection, await NatsStream.on(connection, settings, bounds, answerMs), context);
    try {
      signal.throwIfAborted();
      await session.start();
      return session;
    } catch (error) {
      session.end(error as Error);
      throw error;
    }
  }

  /**
   * Resolves with the sequence and the time of the message, when it has been delivered in this process, too.
   *
   * @throws MessageTooLargeError for more than the server's `max_payload`
   */
  async publish(feed: string, content: Content): Promise<{ offset: number; time: number }> {
    const { feeds, settings } = this.context;
    const before = feeds.offset;
    const data = encode(content);
    const most = this.connection.info?.max_payload ?? Number.POSITIVE_INFINITY;
    if (data.length > most) throw new MessageTooLargeError(most - (data.length - Buffer.byteLength(content.text)));
    const { seq } = await this.client.publish(subjectOf(settings.prefix, feed), data);
    if (seq <= before) this.end(new Error('the stream has been made anew'));
    await this.reach(seq);
    return { offset: seq, time: feeds.timeOf(seq) ?? Date.now() };
  }

  /**
   * Resolves when all that the stream has at this moment has been delivered here. Whoever asks while an answer is under way gets the
   * next one, together with all others.
   */
  catchUp(): Promise<void> {
    this.toAsk ??= (async () => {
      await this.asking?.catch(() => {});
      this.asking = this.toAsk;
      this.toAsk = undefined;
      await this.ask();
    })();
    return this.toAsk;
  }

  end(cause: Error): void {
    if (this.cause) return;
    this.cause = cause;
    clearTimeout(this.check);
    this.context.signal.removeEventListener('abort', this.abort);
    this.arrivals = [];
    this.waiters.fail(cause);
    this.connection.close().catch(() => {}); // there is nothing left to close
    this.tellEnd(cause);
  }

  private async start(): Promise<void> {
    const { feeds, isFirst } = this.context;
    let state = await this.stream.prepare(isFirst);
    if (feeds.epoch === state.epoch && (await this.isRewritten(state.last))) {
      await this.stream.delete();
      state = await this.stream.prepare(false);
    }
    if (feeds.epoch !== state.epoch) feeds.begin(state.epoch, state.last);
    const { pending } = await this.stream.consume(
      feeds.offset + 1,
      (delivery) => this.take(delivery),
      (cause) => this.end(cause),
    );
    if (pending === 0 && state.last > feeds.offset) {
      // Nothing is there of what came meanwhile.
      feeds.suspectAll(state.last, state.last);
      feeds.skip(state.last);
    }
    await this.catchUp();
    this.scheduleCheck();
  }

  /**
   * Whether the engine has lost messages that it had delivered, as it does when its machine loses power: others may have their
   * sequences then, under the same epoch, and no id can be trusted any more.
   */
  private async isRewritten(last: number): Promise<boolean> {
    const { feeds } = this.context;
    const { offset } = feeds;
    if (last < offset) return true;
    const time = feeds.timeOf(offset);
    return time !== undefined && (await this.stream.has({ offset, time })) === 'another';
  }

  private scheduleCheck(): void {
    if (this.cause) return;
    this.check = setTimeout(() => {
      if (performance.now() - this.stream.heardAt > silentBeats * heartbeatMs) this.end(new Error('the consumer is gone'));
      this.catchUp().then(
        () => this.scheduleCheck(),
        () => {}, // it has ended
      );
    }, checkMs);
  }

  private async ask(): Promise<void> {
    const { feeds } = this.context;
    try {
      if (this.cause) throw this.cause;
      const askedAt = performance.now();
      const { offset } = feeds;
      const { epoch, last } = await this.stream.state();
      if (epoch !== feeds.epoch || last < offset) throw new Error('the stream has been made anew');
      await this.reach(last);
      feeds.knownAt = askedAt;
    } catch (error) {
      this.end(error as Error);
      throw error;
    }
  }

  /** Resolves when the message with the sequence has come, or would have. */
  private async reach(sequence: number): Promise<void> {
    const { feeds } = this.context;
    if (this.cause) throw this.cause;
    if (feeds.offset >= sequence) return;
    let { offset } = feeds;
    const stall = setInterval(() => {
      if (feeds.offset === offset && !this.isLooking) this.end(new Error(`message ${sequence} does not come`));
      offset = feeds.offset;
    }, answerMs);
    try {
      await this.waiters.wait(sequence);
    } finally {
      clearInterval(stall);
    }
  }

  private take({ subject, data, sequence, time }: Delivery): void {
    if (this.cause) return;
    this.arrivals.push({ sequence, time, feed: feedOf(this.context.settings.prefix, subject), content: decode(data) });
    if (!this.isLooking) this.pass();
  }

  /** Delivers what has come, up to a gap that has to be looked into first. */
  private pass(): void {
    const { feeds } = this.context;
    for (const [n, { sequence, time, feed, content }] of this.arrivals.entries()) {
      if (sequence > feeds.offset + 1 && sequence > this.lookedUpTo) {
        this.arrivals.splice(0, n);
        void this.look();
        return;
      }
      if (content) feeds.deliver(feed, sequence, time, content);
      else feeds.skip(sequence);
      this.waiters.reach(feeds.offset);
    }
    this.arrivals = [];
  }

  /** Finds out who may have lost messages in the gaps between those that have come; what comes meanwhile waits for the next look. */
  private async look(): Promise<void> {
    this.isLooking = true;
    this.lookedUpTo = this.arrivals.at(-1)?.sequence as number;
    try {
      await this.findLosses();
      if (this.cause) return;
      this.isLooking = false;
      this.pass();
    } catch (error) {
      this.end(error as Error);
    }
  }

  /**
   * A message is missing because its feed has newer ones, as many as are kept, or because the stream's oldest messages were too old
   * or too many bytes. Which ones those were nobody knows: so every feed may have lost messages before the first that is left, unless
   * there was neither the time nor the room for it.
   */
  private async findLosses(): Promise<void> {
    const { feeds } = this.context;
    const { first, last, feeds: full, maxAgeMs, maxBytes } = await this.stream.full();
    const largest = (this.connection.info?.max_payload ?? Number.POSITIVE_INFINITY) + 1024;
    const isYoung = performance.now() - feeds.knownAt < maxAgeMs && (last - feeds.offset) * largest < maxBytes;
    feeds.acquit();
    const isTrimmed = full.length > 0 && (first <= feeds.offset + 1 || isYoung);
    if (!isTrimmed) feeds.suspectAll(first > feeds.offset + 1 ? first - 1 : this.lookedUpTo - 1, last);
    for (let n = 0; n < full.length; n += questions) {
      const some = await Promise.all(full.slice(n, n + questions).map(async (feed) => ((await this.hasLost(feed)) ? [feed] : [])));
      feeds.suspect(some.flat(), last);
    }
  }

  /** A feed loses its oldest messages first: where the last that came is still there, all after it are. */
  private async hasLost(feed: string): Promise<boolean> {
    const newest = this.context.feeds.newestOf(feed);
    return newest === undefined || (await this.stream.has(newest)) !== true;
  }
}
