import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerUnavailableError, reasonOf } from '../../errors/broker.errors.js';
import type { Content, StoredMessage } from '../../message/message.js';
import type { Start } from '../../message/position.js';
import { backoff } from '../../time/backoff.js';
import type { Broker, BrokerContext, History, MessageSink } from '../broker.js';
import { Outage } from '../outage.js';
import type { RedisTarget } from './redis.options.js';
import { RedisCatchUp } from './redis-catch-up.js';
import { lostMessages, RedisDelivery } from './redis-delivery.js';
import { isRejection, type Page, RedisSession } from './redis-session.js';

/** How long a start waits for Redis, in milliseconds. */
const startMs = 6000;
/** The delays before the connection is tried again. */
const reconnectDelays = { minMs: 50, maxMs: 5000 };
/** How often Redis is asked for its newest offset, which also tells whether it answers, in milliseconds. */
const checkMs = 1000;
/** After how many checks in a row without an answer the connection is closed. They are counted: a busy process hears late of an answer. */
const maxUnanswered = 3;

/**
 * Stores each feed in a stream of Redis and announces its messages by sharded Pub/Sub (Redis 7, Valkey), both in one atomic step.
 *
 * An announcement names the message before it on its feed, so that a missing one is noticed. What was missed, for that or because the
 * connection was lost, is read from the streams before anything else is delivered.
 */
export class RedisBroker implements Broker {
  readonly name = 'redis';
  private readonly delivery: RedisDelivery;
  private readonly outage: Outage;
  private session: RedisSession | undefined;
  /** Resolves when announcements are delivered; undefined when they are, and without a connection. */
  private catchingUp: Promise<void> | undefined;
  /** Whether Redis is reachable and has rejected the last message. */
  private isRejecting = false;
  private readonly closing = new AbortController();
  private running: Promise<void> | undefined;

  constructor(
    private readonly target: RedisTarget,
    private readonly context: BrokerContext,
  ) {
    this.outage = new Outage('Redis', context.log);
    this.delivery = new RedisDelivery((reason) => this.session?.fail(reason));
  }

  get unavailableSince(): number | undefined {
    return this.outage.since;
  }

  get unavailableReason(): string | undefined {
    return this.outage.reason;
  }

  /** Connects, and reconnects until the broker is closed. Resolves after the first attempt, or after some seconds. */
  start(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, startMs);
      this.running = this.run(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  async publish(feed: string, content: Content): Promise<StoredMessage> {
    try {
      const message = await this.withSession((session) => session.append(feed, content));
      if (this.isRejecting && this.delivery.isLive) this.outage.end();
      this.isRejecting = false;
      this.delivery.note(message);
      return message;
    } catch (error) {
      const { cause } = error as BrokerUnavailableError;
      if (!isRejection(cause)) throw error;
      // A Redis that rejects messages is unavailable until it takes one: nodes publish an announcement every few seconds.
      this.isRejecting = true;
      this.outage.note(`it rejects messages: ${reasonOf(cause)}`);
      throw error;
    }
  }

  async subscribe(feed: string, sink: MessageSink): Promise<void> {
    const { delivery } = this;
    const subscription = delivery.add(feed, sink);
    await this.ready();
    if (!delivery.has(subscription)) return;
    await this.withSession(async (session) => {
      const reading = session.read({ feed, start: 'end', received: delivery.received });
      const [, { offset }] = await Promise.all([session.subscribe([feed]), reading]);
      subscription.last = Math.max(subscription.last ?? 0, offset);
      subscription.isNew = false;
    });
  }

  unsubscribe(feed: string): void {
    if (this.delivery.delete(feed)) this.session?.unsubscribe(feed).catch(ignore);
  }

  async read(feed: string, start: Start, limitBytes: number): Promise<History> {
    const { delivery } = this;
    await this.ready();
    const page = await this.withSession((session) => session.read({ feed, start, limitBytes, received: delivery.received }));
    delivery.note(page);
    if (page.epoch !== delivery.received?.epoch) throw new BrokerUnavailableError(`Redis is unavailable: ${lostMessages}`);
    delivery.noteRead(feed, page.offset);
    return historyOf(start, page);
  }

  async close(): Promise<void> {
    this.closing.abort();
    this.delivery.clear();
    this.session?.close();
    await this.running;
  }

  /** One session after the other, until the broker is closed. */
  private async run(onFirstAttempt: () => void): Promise<void> {
    const { delivery, closing, context } = this;
    const { signal } = closing;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      try {
        const session = await RedisSession.open({
          target: this.target,
          bounds: context,
          signal,
          onAnnounced: (feed, announcement) => session === this.session && delivery.announce(feed, announcement),
        });
        if (signal.aborted) session.close();
        this.session = session;
        const timer = setInterval(() => this.check(session), checkMs).unref();
        session.ended.then(() => clearInterval(timer));
        this.catchingUp = this.catchUp(session).catch((error) => session.fail(error));
        await this.catchingUp;
        if (delivery.isLive) {
          attempt = 0;
          onFirstAttempt();
        }
        this.noteUnavailable(await session.ended);
      } catch (error) {
        this.noteUnavailable(error as Error);
      }
      onFirstAttempt();
      await sleep(backoff(attempt, reconnectDelays), undefined, { signal }).catch(ignore);
    }
  }

  private async catchUp(session: RedisSession): Promise<void> {
    await new RedisCatchUp(session, this.delivery).run(this.context.historyTtlMs * 1000);
    this.catchingUp = undefined;
    if (!this.isRejecting) this.outage.end();
  }

  private check(session: RedisSession): void {
    const { delivery } = this;
    session.unanswered += 1;
    if (session.unanswered > maxUnanswered) session.fail(new Error(`no answer for ${maxUnanswered * checkMs} ms`));
    else if (delivery.isLive) {
      session.read({ feed: '', start: 'end', received: delivery.received }).then((newest) => delivery.note(newest), ignore);
    }
  }

  private noteUnavailable(error: Error | undefined): void {
    this.session = undefined;
    this.catchingUp = undefined;
    this.delivery.stop();
    if (!this.closing.signal.aborted) this.outage.note(error ? reasonOf(error) : 'the connection was closed');
  }

  /** Resolves when announcements are delivered. */
  private async ready(): Promise<void> {
    await this.catchingUp;
    if (!this.delivery.isLive) throw new BrokerUnavailableError('Redis is unavailable.');
  }

  private async withSession<T>(work: (session: RedisSession) => Promise<T>): Promise<T> {
    if (!this.session) throw new BrokerUnavailableError('Redis is unavailable.');
    try {
      return await work(this.session);
    } catch (cause) {
      throw new BrokerUnavailableError(`Redis is unavailable: ${reasonOf(cause)}`, { cause });
    }
  }
}

function historyOf(start: Start, { epoch, offset, isKnown, trimmed, moreAfter, messages }: Page): History {
  const [first] = messages;
  const isReset = typeof start !== 'string' && (!isKnown || trimmed > start.offset);
  let after = first ? trimmed : offset;
  if (start === 'newest' && first) after = first.offset - 1;
  if (typeof start !== 'string' && !isReset) after = start.offset;
  return { messages, after: { epoch, offset: after }, end: moreAfter ?? offset, hasMore: moreAfter !== undefined, isReset };
}

function ignore() {}
