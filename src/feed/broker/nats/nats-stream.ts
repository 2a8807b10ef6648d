import { setTimeout as sleep } from 'node:timers/promises';
import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
  type StreamInfo,
  type StreamInfoRequestOptions,
} from '@nats-io/jetstream';
import { millis, type NatsConnection } from '@nats-io/transport-node';
import type { StoredMessage } from '../../message/message.js';
import { newEpoch } from '../epoch.js';
import { allBounds, type HistoryBounds } from '../history-bounds.js';
import type { NatsSettings } from './nats.options.js';
import { feedOf } from './nats-codec.js';
import { consume, type Delivery } from './nats-consumer.js';
import { limitsOf, ttlOf } from './nats-limits.js';

export const streamNotFound = 10_059;
/** The errors of a stream that another node has just made: with other settings, or not to the end. */
const [nameInUse, subjectsOverlap] = [10_058, 10_065];
const noJetStreamForAccount = 10_039;
/**
 * How often an idle consumer sends a heartbeat, in milliseconds. Seldom: whether NATS answers, and has sent everything, is found out by
 * requests.
 */
export const heartbeatMs = 30_000;
/** How often a stream is asked for while it is being created, and how long it is waited for in between, in milliseconds. */
export const mostTries = 100;
export const retryMs = 20;

/** Where a stream begins and ends. */
export interface StreamState {
  /** From the time when the stream was created and its generation: a stream that is created again, or has lost messages, has another. */
  readonly epoch: string;
  /** The sequence of the first message that is stored. */
  readonly first: number;
  /** The sequence of the last message that was ever stored. */
  readonly last: number;
  /** How many processes consume it. */
  readonly consumers: number;
}

/** What may be missing of a stream. */
interface StreamLosses extends StreamState {
  /** When this was so, by the clock of the server, in milliseconds since 1970. */
  readonly at: number;
  /** The feeds that have as many messages as the stream stores of one: only they may have lost some to newer ones. */
  readonly full: readonly string[];
  readonly maxAgeMs: number;
  readonly maxBytes: number;
  /** The times to live of feeds whose messages may have expired one by one. */
  readonly ttlsMs: readonly number[];
}

/** The JetStream stream that has all messages of a prefix, over one connection. */
export class NatsStream {
  readonly name: string;
  /** When the consumer last sent something, by `performance.now()`. */
  heardAt = performance.now();
  /** Messages that live for less than this, in milliseconds, have a time to live of their own. Before NATS 2.11, none has. */
  private ownTtlBelowMs = 0;

  private constructor(
    private readonly connection: NatsConnection,
    private readonly manager: JetStreamManager,
    private readonly settings: NatsSettings,
    private readonly bounds: HistoryBounds,
  ) {
    this.name = settings.prefix;
  }

  static async on(connection: NatsConnection, settings: NatsSettings, bounds: HistoryBounds, timeout: number): Promise<NatsStream> {
    const manager = await jetstreamManager(connection, { timeout, checkAPI: false });
    return new NatsStream(connection, manager, settings, bounds);
  }

  /**
   * Creates the stream where there is none.
   *
   * @param updates whether an existing stream gets the limits of this process
   * @param tries how often it has been tried
   */
  async prepare(updates: boolean, tries = 1): Promise<StreamState> {
    const { streams } = this.manager;
    let limits = limitsOf(this.bounds, this.settings.replicas);
    let info: StreamInfo;
    try {
      info = await this.info();
    } catch (error) {
      if (hasNoJetStream(error))
        throw new Error('JetStream is not enabled for this user: start nats-server with --jetstream, and give the account limits', {
          cause: error,
        });
      if (!(error instanceof JetStreamApiError) || error.code !== streamNotFound) throw error;
      const isAdded = await this.add(limits, tries === mostTries);
      return this.prepare(updates && !isAdded, tries + 1);
    }
    if (!describes(info.config)) throw new Error(`the stream "${this.name}" belongs to another application: choose another prefix`);
    // An operator may have given it more.
    limits = { ...limits, num_replicas: Math.max(limits.num_replicas, info.config.num_replicas) };
    // NATS takes this from no stream that has it.
    if (info.config.allow_msg_ttl) limits = { ...limits, allow_msg_ttl: true };
    const isOther = Object.entries(limits).some(([name, value]) => info.config[name as keyof StreamConfig] !== value);
    if (updates && isOther) {
      const least = Math.min(shortest(info.config), limits.max_msgs_per_subject);
      info = await streams.update(this.name, { ...info.config, ...limits, description: describe(least, generationOf(info.config)) });
    }
    this.noteTtls(info);
    return stateOf(info);
  }

  /** The time to live that a message has of its own, in seconds. */
  ttlOf(feed: string, hasKey: boolean): string | undefined {
    return this.ownTtlBelowMs === 0 ? undefined : ttlOf(this.bounds, feed, hasKey, this.ownTtlBelowMs);
  }

  async state(): Promise<StreamState> {
    return stateOf(await this.info());
  }

  /** What may be missing of the stream. */
  async losses(): Promise<StreamLosses> {
    const { prefix } = this.settings;
    const info = await this.info({ subjects_filter: `${prefix}.>` });
    const least = shortest(info.config);
    const full = Object.entries(info.state.subjects ?? {}).filter(([, count]) => count >= least);
    const { max_age, max_bytes } = info.config;
    const ttlsMs = allBounds(this.bounds).flatMap(({ historyTtlMs, keepNewest }) => (keepNewest ? [] : historyTtlMs));
    return {
      ...stateOf(info),
      at: Date.parse((info as { ts?: string }).ts as string),
      full: full.map(([subject]) => feedOf(prefix, subject)),
      maxAgeMs: max_age === 0 ? Number.POSITIVE_INFINITY : millis(max_age),
      maxBytes: max_bytes,
      ttlsMs: this.ownTtlBelowMs > 0 ? [...new Set(ttlsMs)] : [],
    };
  }

  /** The message with a sequence; undefined where it is gone. */
  async get(sequence: number): Promise<{ data: Uint8Array; time: number } | undefined> {
    const stored = await this.manager.streams.getMessage(this.name, { seq: sequence });
    return stored ? { data: stored.data, time: stored.time.getTime() } : undefined;
  }

  /** Whether the stream stores that message, or `another` with its sequence. */
  async has({ offset, time }: Pick<StoredMessage, 'offset' | 'time'>): Promise<boolean | 'another'> {
    const stored = await this.get(offset);
    if (!stored) return false;
    return Math.abs(stored.time - time) <= 1 || 'another';
  }

  /**
   * Begins another generation, unless another process has: what is stored stays, and no position of before is valid any more.
   *
   * @param before the epoch that ends
   */
  async renew(before: string): Promise<StreamState> {
    const info = await this.info();
    if (stateOf(info).epoch !== before) return stateOf(info);
    const { config } = info;
    return stateOf(await this.manager.streams.update(this.name, { ...config, description: describe(shortest(config), newEpoch()) }));
  }

  /**
   * Delivers the messages from a sequence on, in order.
   *
   * @param fail called when the consumer has ended, or messages were lost on the way
   */
  consume(from: number, deliver: (delivery: Delivery) => void, fail: (cause: Error) => void): Promise<{ pending: number }> {
    const target = { stream: this.name, from, inboxPrefix: this.settings.client.inboxPrefix, heartbeatMs };
    const onHeard = () => {
      this.heardAt = performance.now();
    };
    return consume(this.connection, this.manager, target, { onHeard, deliver, fail });
  }

  /** Adds the stream. Resolves with `false`, after a while, where another node seems to add it, unless that has been waited for long enough. */
  private async add(limits: ReturnType<typeof limitsOf>, isLastTry: boolean): Promise<boolean> {
    try {
      await this.manager.streams.add({
        name: this.name,
        subjects: [`${this.settings.prefix}.>`],
        storage: StorageType.File,
        retention: RetentionPolicy.Limits,
        discard: DiscardPolicy.Old,
        description: describe(limits.max_msgs_per_subject, ''),
        ...limits,
      });
      return true;
    } catch (error) {
      if (isLastTry || !isMadeByAnother(error)) throw error;
      await sleep(retryMs);
      return false;
    }
  }

  private noteTtls({ config: { allow_msg_ttl, max_age } }: StreamInfo): void {
    if (!allow_msg_ttl) this.ownTtlBelowMs = 0;
    else this.ownTtlBelowMs = max_age === 0 ? Number.POSITIVE_INFINITY : millis(max_age);
  }

  /** What NATS says of the stream: another node may be creating it, and NATS (2.9) then answers before it knows when that was. */
  private async info(options?: Partial<StreamInfoRequestOptions>): Promise<StreamInfo> {
    for (let n = 0; n < mostTries; n += 1) {
      const info = await this.manager.streams.info(this.name, options);
      if (!info.created.startsWith('0001-01-01T')) return info;
      await sleep(retryMs);
    }
    throw new Error(`the stream "${this.name}" is not ready`);
  }
}

/**
 * The stream's description has the lowest limit on messages of a feed that the stream ever had: a feed with as many may have lost some,
 * even if the limit is higher now. It also has the stream's generation, if that is not the first, and shows that the stream is not another
 * application's.
 */
function describe(length: number, generation: string): string {
  return `nestjs-feed: ${length} or more messages of each feed${generation && `, generation ${generation}`}`;
}

function generationOf({ description }: StreamConfig): string {
  return /, generation ([a-z0-9]{1,16})$/.exec(description ?? '')?.[1] ?? '';
}

function hasNoJetStream(error: unknown): boolean {
  if (error instanceof JetStreamApiError) return error.code === noJetStreamForAccount;
  return isUnheard(error);
}

/** Whether a stream could not be added because another node has, or is about to. */
export function isMadeByAnother(error: unknown): boolean {
  return error instanceof JetStreamApiError && (error.code === nameInUse || error.code === subjectsOverlap);
}

/** Whether nothing listens for what was sent: there is no JetStream, or no such stream yet. */
export function isUnheard(error: unknown): boolean {
  return (error as Error).name === 'JetStreamNotEnabled'; // the client does not export this class
}

function describes({ description }: StreamConfig): boolean {
  return /^nestjs-feed: \d+ /.test(description ?? '');
}

function shortest({ description, max_msgs_per_subject }: StreamConfig): number {
  return Math.min(Number(description?.split(' ')[1]), max_msgs_per_subject);
}

function stateOf({ created, state, config }: StreamInfo): StreamState {
  const [, seconds, fraction = ''] = /^(.*?)(?:\.(\d+))?Z$/.exec(created) ?? [];
  const ms = BigInt(Date.parse(seconds === undefined ? created : `${seconds}Z`));
  const epoch = (ms * 1_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, '0'))).toString(36) + generationOf(config);
  return { epoch, first: state.first_seq, last: state.last_seq, consumers: state.consumer_count };
}
