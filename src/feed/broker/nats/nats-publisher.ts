import { createHash } from 'node:crypto';
import { JetStreamApiError, type JetStreamClient, type JetStreamPublishOptions, jetstream, type PubAck } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { FeedEndedError, FeedPositionError, KeyReusedError, MessageTooLargeError } from '../../errors/broker.errors.js';
import { digestOf } from '../../message/content.js';
import type { Content } from '../../message/message.js';
import type { Position } from '../../message/position.js';
import type { PublishConditions } from '../broker.js';
import type { NatsSettings } from './nats.options.js';
import { clearMark, decode, encode, subjectOf } from './nats-codec.js';
import type { NatsFeeds } from './nats-feeds.js';
import type { NatsStream } from './nats-stream.js';

/** How long NATS may take to store a message, in milliseconds. */
const publishMs = 5000;
/** The error of a message that was expected behind another one than it is. */
export const wrongLastSequence = 10_071;

/** The session that a publisher belongs to. */
interface Session {
  /** Resolves when the message with the sequence has been delivered in this process. */
  arrivalOf(sequence: number): Promise<void>;
  catchUp(): Promise<void>;
  end(cause: Error): void;
}

/** Stores messages over one session. */
export class NatsPublisher {
  private readonly client: JetStreamClient;

  constructor(
    private readonly connection: NatsConnection,
    private readonly stream: NatsStream,
    private readonly context: { readonly settings: NatsSettings; readonly feeds: NatsFeeds },
    private readonly session: Session,
  ) {
    this.client = jetstream(connection, { timeout: publishMs });
  }

  /**
   * Resolves with the sequence and the time of the message when it has been delivered in this process, or the session has ended meanwhile.
   *
   * @throws MessageTooLargeError for more than the server's `max_payload`, FeedEndedError, FeedPositionError, KeyReusedError
   */
  async publish(feed: string, content: Content, conditions?: PublishConditions): Promise<{ offset: number; time: number }> {
    const { feeds } = this.context;
    const data = encode(content);
    const most = this.connection.info?.max_payload ?? Number.POSITIVE_INFINITY;
    if (data.length > most) throw new MessageTooLargeError(most - (data.length - Buffer.byteLength(content.text)));
    // With a key, it may be a repetition of a message that came before the end.
    if (conditions?.key === undefined && feeds.hasEnded(feed, Number.POSITIVE_INFINITY, Date.now())) await this.checkEnded(feed);
    const { offset } = feeds;
    const sentAt = performance.now();
    const ack = await (conditions ? this.sendOn(conditions, feed, data) : this.send(feed, data, false));
    await this.arrival(ack, offset, sentAt);
    const { seq, duplicate } = ack;
    if (duplicate && conditions) {
      // The feed may have been cleared since, by a node that this one has not heard yet.
      await this.session.catchUp();
      if (feeds.hasForgotten(feed, seq)) return this.publishAnew(feed, content, conditions, seq);
    }
    const time = duplicate ? await this.timeOfFirst(feed, seq, content) : (feeds.timeOf(seq) ?? Date.now());
    if (feeds.offset < seq ? feeds.hasEnded(feed, seq, time) : feeds.wasIgnored(seq)) throw new FeedEndedError(feed);
    return { offset: seq, time };
  }

  /**
   * Publishes with a key that NATS takes for used, since it has stored a message with it: one that was refused, for the feed had ended, or that
   * came before the feed was cleared. All who repeat the message come to the same other key.
   */
  private async publishAnew(feed: string, content: Content, conditions: PublishConditions, before: number) {
    if (this.context.feeds.hasEnded(feed, Number.POSITIVE_INFINITY, Date.now())) await this.checkEnded(feed);
    return this.publish(feed, content, { ...conditions, key: `${conditions.key}\n${before}` });
  }

  /** @throws FeedPositionError */
  async clear(feed: string, expected?: Position): Promise<void> {
    const { offset } = this.context.feeds;
    const sentAt = performance.now();
    // It is stored for as long as keys are known, which it forgets.
    await this.arrival(await this.sendOn({ expected }, feed, clearMark, true), offset, sentAt);
  }

  private send(feed: string, data: Uint8Array, isLong: boolean, options: Partial<JetStreamPublishOptions> = {}): Promise<PubAck> {
    const ttl = this.stream.ttlOf(feed, isLong);
    return this.client.publish(subjectOf(this.context.settings.prefix, feed), data, ttl ? { ...options, ttl } : options);
  }

  /** @param isLong whether it is stored for as long as keys are known, at least */
  private sendOn({ key, expected }: PublishConditions, feed: string, data: Uint8Array, isLong = key !== undefined): Promise<PubAck> {
    const options = key === undefined ? {} : { msgID: keyId(feed, key) };
    if (!expected) return this.send(feed, data, isLong, options);
    return this.sendAfter(expected, feed, (lastSubjectSequence) =>
      this.send(feed, data, isLong, { ...options, expect: { lastSubjectSequence } }),
    );
  }

  /**
   * Resolves when what is stored has been delivered in this process; what happens to the session meanwhile does not change that it is.
   *
   * @param before the offset that had been received when it was sent, at `sentAt`
   */
  private async arrival({ seq, duplicate }: PubAck, before: number, sentAt: number): Promise<void> {
    if (!duplicate && seq <= before) {
      const cause = new Error('the stream was created again');
      this.session.end(cause);
      throw cause;
    }
    try {
      await this.session.arrivalOf(seq);
      // The stream keeps the order: what it had before this has arrived before this.
      if (!duplicate) this.context.feeds.hadAllAt(sentAt);
    } catch {}
  }

  /** @throws FeedEndedError where the feed has ended, and has not been cleared since */
  private async checkEnded(feed: string): Promise<void> {
    await this.session.catchUp();
    if (this.context.feeds.hasEnded(feed, Number.POSITIVE_INFINITY, Date.now())) throw new FeedEndedError(feed);
  }

  /** Has a message stored where the feed has none after a position. NATS is told the sequence of the feed's last one, and knows better. */
  private async sendAfter(expected: Position, feed: string, send: (last: number) => Promise<PubAck>): Promise<PubAck> {
    const { feeds } = this.context;
    if (expected.offset > feeds.offset) await this.session.catchUp();
    if (expected.epoch !== feeds.epoch || expected.offset > feeds.offset) throw new FeedPositionError(feed);
    let last = feeds.lastOffsetOf(feed);
    for (;;) {
      if (last > expected.offset) throw new FeedPositionError(feed);
      try {
        return await send(last);
      } catch (error) {
        const found = lastSequenceIn(error);
        if (found === undefined || found === last) throw error;
        last = found;
      }
    }
  }

  /**
   * The time of the message that was stored first with a key.
   *
   * @throws KeyReusedError where it has another content
   */
  private async timeOfFirst(feed: string, sequence: number, content: Content): Promise<number> {
    const first = await this.stream.get(sequence);
    if (!first) return Date.now(); // nothing is left to compare
    const stored = decode(first.data);
    if (typeof stored !== 'object' || digestOf(stored) !== digestOf(content)) throw new KeyReusedError(feed);
    return first.time;
  }
}

/** The sequence that NATS has found, where it is not the expected one. */
function lastSequenceIn(error: unknown): number | undefined {
  if (!(error instanceof JetStreamApiError) || error.code !== wrongLastSequence) return undefined;
  const found = /(\d+)$/.exec(error.message)?.[1];
  return found === undefined ? undefined : Number(found);
}

/** The id by which NATS tells repeated messages, over the whole stream. */
function keyId(feed: string, key: string): string {
  return createHash('sha256').update(`${feed} ${key}`).digest('base64url');
}
