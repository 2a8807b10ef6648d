import {
  AckPolicy,
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  ReplayPolicy,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
  type StreamInfo,
} from '@nats-io/jetstream';
import { createInbox, type Msg, millis, type NatsConnection, nanos } from '@nats-io/transport-node';
import { type StoredMessage } from '../../message/message.js';
import { type HistoryBounds } from '../broker.js';
import type { NatsSettings } from './nats.options.js';
import { feedOf } from './nats-codec.js';

const streamNotFound = 10_059;
const noJetStreamForAccount = 10_039;
/** How long a consumer is silent at most when all is well, in milliseconds. */
export const heartbeatMs = 1000;
/** The least that NATS can be asked for. */
const leastAgeMs = 100;
/**
 * Messages of each feed that the stream keeps at least: a consumer gets none that has gone before its turn came, and a feed's messages may
 * come faster, for a moment, than they are delivered. A process's own log keeps no more than history does.
 */
export const leastLength = 2048;
/** Below that, a message or two would fill the stream. */
const leastBytes = 16 * 2 ** 20;

/** Where a stream begins and ends, and which life of it this is. */
export interface StreamState {
  /** From the time when the stream was made: one that was made anew counts anew. */
  readonly epoch: string;
  /** The sequence of the first message that is kept. */
  readonly first: number;
  /** The sequence of the last message that there was. */
  readonly last: number;
}

/** A message as the consumer delivers it. */
export interface Delivery {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly sequence: number;
  /** Counts what this consumer has delivered. */
  readonly delivered: number;
  /** In milliseconds since 1970. */
  readonly time: number;
}

/** The JetStream stream that has all messages of a prefix, over one connection. */
export class NatsStream {
  readonly name: string;
  /** When the consumer was last heard of, by `performance.now()`. */
  heardAt = performance.now();

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

  /** Makes the stream, if there is none; gives it the limits of this process, if that is wanted and it has others. */
  async prepare(isToUpdate: boolean): Promise<StreamState> {
    const { streams } = this.manager;
    const limits = this.limits();
    let info: StreamInfo;
    try {
      info = await streams.info(this.name);
    } catch (error) {
      if (hasNoJetStream(error))
        throw new Error('there is no JetStream for this user: nats-server needs --jetstream, and the account its limits', { cause: error });
      if (!(error instanceof JetStreamApiError) || error.code !== streamNotFound) throw error;
      return stateOf(
        await streams.add({
          name: this.name,
          subjects: [`${this.settings.prefix}.>`],
          storage: StorageType.File,
          retention: RetentionPolicy.Limits,
          discard: DiscardPolicy.Old,
          description: describe(limits.max_msgs_per_subject),
          ...limits,
        }),
      );
    }
    if (!describes(info.config))
      throw new Error(`there is a stream "${this.name}" already that is not nestjs-feed's: choose another prefix`);
    const isOther = Object.entries(limits).some(([name, value]) => info.config[name as keyof StreamConfig] !== value);
    if (isToUpdate && isOther) {
      const least = Math.min(shortest(info.config), limits.max_msgs_per_subject);
      info = await streams.update(this.name, { ...info.config, ...limits, description: describe(least) });
    }
    return stateOf(info);
  }

  async state(): Promise<StreamState> {
    return stateOf(await this.manager.streams.info(this.name));
  }

  /** The feeds of which no more can be kept: only they may have lost messages to newer ones of their own. */
  async full(): Promise<StreamState & { readonly feeds: readonly string[]; readonly maxAgeMs: number; readonly maxBytes: number }> {
    const { prefix } = this.settings;
    const info = await this.manager.streams.info(this.name, { subjects_filter: `${prefix}.>` });
    const least = shortest(info.config);
    const full = Object.entries(info.state.subjects ?? {}).filter(([, count]) => count >= least);
    const { max_age, max_bytes } = info.config;
    return { ...stateOf(info), feeds: full.map(([subject]) => feedOf(prefix, subject)), maxAgeMs: millis(max_age), maxBytes: max_bytes };
  }

  /** Whether the stream still has that message, and no other one in its place. */
  async has({ offset, time }: Pick<StoredMessage, 'offset' | 'time'>): Promise<boolean | 'another'> {
    const stored = await this.manager.streams.getMessage(this.name, { seq: offset });
    if (!stored) return false;
    return Math.abs(stored.time.getTime() - time) <= 1 || 'another';
  }

  /** Gives the stream up, with all that it has. */
  async delete(): Promise<void> {
    await this.manager.streams.delete(this.name);
  }

  /**
   * Has the messages from a sequence on delivered, in order, as fast as they are taken.
   *
   * @param fail told when no more will come, or some were lost on the way
   */
  async consume(from: number, take: (delivery: Delivery) => void, fail: (cause: Error) => void): Promise<{ pending: number }> {
    let delivered = 0;
    const inbox = createInbox(this.settings.client.inboxPrefix);
    this.connection.subscribe(inbox, {
      callback: (error, message) => {
        if (error) return fail(error);
        this.heardAt = performance.now();
        if (message.subject === inbox) return this.answer(message, fail);
        const delivery = deliveryOf(message);
        delivered += 1;
        if (delivery.delivered === delivered) take(delivery);
        else fail(new Error(`message ${delivered} of the consumer did not come`));
      },
    });
    const { num_pending } = await this.manager.consumers.add(this.name, {
      deliver_subject: inbox,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: from,
      ack_policy: AckPolicy.None,
      replay_policy: ReplayPolicy.Instant,
      flow_control: true,
      idle_heartbeat: nanos(heartbeatMs),
      mem_storage: true,
      num_replicas: 1,
    });
    return { pending: num_pending };
  }

  /** Takes what the server says about the consumer: that it is idle, that it wants to know whether it may go on, or that it ends. */
  private answer(message: Msg, fail: (cause: Error) => void): void {
    const { headers } = message;
    const stalled = headers?.get('Nats-Consumer-Stalled');
    if (headers?.code !== 100) fail(new Error(`the consumer has ended: ${headers?.code} ${headers?.description}`));
    else if (stalled) this.connection.publish(stalled);
    else message.respond();
  }

  private limits() {
    const { historyLength, historyTtlMs, historyTotalBytes } = this.bounds;
    return {
      max_msgs_per_subject: Math.max(historyLength, leastLength),
      max_age: nanos(Math.max(historyTtlMs, leastAgeMs)),
      max_bytes: Math.max(historyTotalBytes, leastBytes),
      // Nothing is published with an id of its own to tell duplicates by.
      duplicate_window: nanos(leastAgeMs),
      num_replicas: this.settings.replicas,
    };
  }
}

/**
 * The stream's description says how few messages of a feed it has ever been made to keep: a feed that has as many may have had more,
 * also once the limit is higher. And it tells the stream from others' that happen to have its name.
 */
function describe(length: number): string {
  return `nestjs-feed: ${length} or more messages of each feed`;
}

function hasNoJetStream(error: unknown): boolean {
  if (error instanceof JetStreamApiError) return error.code === noJetStreamForAccount;
  return (error as Error).name === 'JetStreamNotEnabled'; // the client does not export its class
}

function describes({ description }: StreamConfig): boolean {
  return /^nestjs-feed: \d+ /.test(description ?? '');
}

function shortest({ description, max_msgs_per_subject }: StreamConfig): number {
  return Math.min(Number(description?.split(' ')[1]), max_msgs_per_subject);
}

function stateOf({ created, state }: StreamInfo): StreamState {
  const [, seconds, fraction = ''] = /^(.*?)(?:\.(\d+))?Z$/.exec(created) ?? [];
  const ms = BigInt(Date.parse(seconds === undefined ? created : `${seconds}Z`));
  const epoch = (ms * 1_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, '0'))).toString(36);
  return { epoch, first: state.first_seq, last: state.last_seq };
}

/** Where a message is from, as its reply subject says (ADR 15 of NATS): in its older form, or with a domain, an account and a token. */
function deliveryOf({ subject, data, reply = '' }: Msg): Delivery {
  const tokens = reply.split('.');
  const at = tokens.length === 9 ? 5 : 7;
  return {
    subject,
    data,
    sequence: Number(tokens[at]),
    delivered: Number(tokens[at + 1]),
    time: Number(tokens[at + 2]?.slice(0, -6)),
  };
}
