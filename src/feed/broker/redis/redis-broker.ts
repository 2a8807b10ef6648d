import { setTimeout as sleep } from 'node:timers/promises';
import { reasonOf } from '../../errors/broker.errors.js';
import type { Content, StoredMessage } from '../../message/message.js';
import { isPosition, type Position, type Start } from '../../message/position.js';
import type { BrokerContext, History, MessageSink, PublishConditions, StoredFeed, StoredIds } from '../broker.js';
import type { IdRange } from '../first-ids.js';
import { longestTtlMs } from '../history-bounds.js';
import { intervalFactor } from '../interval-factor.js';
import { SessionBroker } from '../session-broker.js';
import type { RedisTarget } from './redis.options.js';
import { appendedMessage, clearedAt, isRepeated } from './redis-append.js';
import { RedisCatchUp } from './redis-catch-up.js';
import { isAnswering } from './redis-connect.js';
import { lostMessages, RedisDelivery } from './redis-delivery.js';
import { isNotStored, isRejection } from './redis-errors.js';
import { offsetOf, type Page } from './redis-page.js';
import { RedisSession } from './redis-session.js';
import { measured, storedIds } from './redis-stored.js';

/**
 * How often a process looks whether Redis owes it an answer, in milliseconds. Where few processes share it, each asks for the newest offset as
 * often, which tells whether Redis answers; where there are many, all together ask as often as these.
 */
const checkMs = 1000;
const fewProcesses = 2;
/** After how many checks in a row without an answer it is asked for nothing more. They are counted: a busy process hears late of an answer. */
const maxUnanswered = 3;
const silent = `no answer for ${maxUnanswered * checkMs} ms`;

/**
 * Stores each feed in a stream of Redis and announces its messages by sharded Pub/Sub (Redis 7, Valkey), both in one atomic step.
 *
 * An announcement names the message before it on its feed, so that a missing one is noticed. What was missed, for that or because the
 * connection was lost, is read from the streams before anything else is delivered.
 */
export class RedisBroker extends SessionBroker<RedisSession> {
  readonly name = 'redis';
  private readonly delivery = new RedisDelivery((reason) => this.session?.end(reason));
  /** Resolves when announcements are delivered; undefined when they are, and without a connection. */
  private catchingUp: Promise<void> | undefined;
  /** Whether Redis is reachable and has rejected the last message. */
  private isRejecting = false;
  /** Fail what is asked for at this moment. */
  private readonly asking = new Set<(reason: Error) => void>();
  private isProbing = false;
  private checkTimer: NodeJS.Timeout | undefined = undefined;
  /** Whether the next check is later than usual. */
  private isResting = false;
  /** When Redis was asked last for its newest offset, by `performance.now()`. */
  private askedAt = 0;

  constructor(
    private readonly target: RedisTarget,
    context: BrokerContext,
  ) {
    super('Redis', context);
  }

  async publish(feed: string, content: Content, conditions?: PublishConditions): Promise<StoredMessage> {
    const reply = await this.store((session) => session.append(feed, content, conditions));
    const message = appendedMessage(feed, content, reply);
    if (!isRepeated(reply)) this.delivery.note(message);
    return message;
  }

  async clear(feed: string, expected?: Position): Promise<void> {
    this.delivery.note(clearedAt(feed, await this.store((session) => session.clear(feed, expected))));
  }

  async remember(name: string, until: number): Promise<void> {
    await this.store((session) => session.remember(name, until));
  }

  remembered(): Promise<ReadonlyMap<string, number>> {
    return this.ask((session) => session.remembered());
  }

  async subscribe(feed: string, sink: MessageSink): Promise<void> {
    const { delivery } = this;
    const subscription = delivery.add(feed, sink);
    await this.ask(async (session) => {
      if (!delivery.has(subscription)) return;
      const { offset } = await session.subscribe(feed);
      subscription.last = Math.max(subscription.last ?? 0, offset);
      subscription.isNew = false;
    });
  }

  unsubscribe(feed: string): void {
    if (this.delivery.delete(feed)) this.session?.unsubscribe(feed).catch(ignore);
  }

  async read(feed: string, start: Start, limitBytes: number): Promise<History> {
    const { delivery } = this;
    const page = await this.ask((session) => session.read({ feed, start, limitBytes }));
    delivery.note(page);
    if (page.epoch !== delivery.received?.epoch) throw this.unavailable(new Error(lostMessages));
    delivery.noteRead(feed, page.offset);
    return historyOf(start, page);
  }

  override storedIds(range: IdRange): Promise<StoredIds> {
    return this.ask((session) => storedIds(session, range));
  }

  override measure(feeds: readonly string[]): Promise<(StoredFeed | undefined)[]> {
    return this.ask((session) => measured(session, feeds));
  }

  override async close(): Promise<void> {
    this.delivery.clear();
    await super.close();
  }

  protected open(signal: AbortSignal): Promise<RedisSession> {
    const { target, context, delivery } = this;
    return RedisSession.open({
      target,
      bounds: context,
      signal,
      received: () => delivery.received,
      onAnnounced: (announcement) => delivery.announce(announcement),
    });
  }

  protected override isNotStored(cause: unknown): boolean {
    return isNotStored(cause);
  }

  protected async begin(session: RedisSession): Promise<boolean> {
    const { delivery, context } = this;
    this.scheduleCheck(session);
    session.onWaiting = () => {
      if (this.isResting) this.scheduleCheck(session);
    };
    void session.ended.then(() => {
      session.onWaiting = undefined;
      clearTimeout(this.checkTimer);
      delivery.stop();
    });
    const catchUp = new RedisCatchUp(session, delivery);
    this.catchingUp = catchUp.run(longestTtlMs(context) * 1000).catch((error) => session.end(error));
    await this.catchingUp;
    this.catchingUp = undefined;
    if (delivery.isLive && !this.isRejecting) this.outage.end();
    return delivery.isLive;
  }

  /** Has something stored. A Redis that rejects that is unavailable until it takes something: each node sends heartbeats. */
  private store<T>(work: (session: RedisSession) => Promise<T>): Promise<T> {
    return this.withSession(async (session) => {
      try {
        const storing = work(session);
        // A heartbeat of this node takes the question along: it need not wake for it.
        if (this.delivery.isLive && performance.now() - this.askedAt > this.turnMs(session) / 2) this.askForNewest(session);
        const stored = await storing;
        if (this.isRejecting && this.delivery.isLive) this.outage.end();
        this.isRejecting = false;
        return stored;
      } catch (error) {
        if (isRejection(error)) {
          this.isRejecting = true;
          this.outage.note(`it rejects messages: ${reasonOf(error)}`);
        }
        throw error;
      }
    });
  }

  /** How often this process asks for the newest offset, in milliseconds. */
  private turnMs({ processes }: RedisSession): number {
    return checkMs * intervalFactor(processes, fewProcesses);
  }

  /** Has the next check made within its usual time, or, while Redis owes nothing and many processes share it, when this one has its turn. */
  private scheduleCheck(session: RedisSession): void {
    const turnMs = this.askedAt + this.turnMs(session) - performance.now();
    this.isResting = session.waiting === 0 && !this.silence && turnMs > checkMs;
    const check = () => {
      this.check(session);
      if (session === this.session) this.scheduleCheck(session);
    };
    clearTimeout(this.checkTimer);
    this.checkTimer = setTimeout(check, this.isResting ? turnMs : checkMs).unref();
  }

  private check(session: RedisSession): void {
    const { delivery } = this;
    const isDue = performance.now() - this.askedAt > this.turnMs(session) - checkMs / 2;
    if (session.waiting === 0 && !isDue && !this.silence) return;
    session.unanswered += 1;
    if (session.unanswered > maxUnanswered) {
      this.silence = new Error(silent);
      this.outage.note(silent);
      for (const reject of this.asking) reject(this.silence);
      void this.probe(session);
      return;
    }
    if (this.silence) {
      this.silence = undefined;
      if (delivery.isLive && !this.isRejecting) this.outage.end();
    }
    if (delivery.isLive) this.askForNewest(session);
  }

  private askForNewest(session: RedisSession): void {
    this.askedAt = performance.now();
    session.beat().then((newest) => this.delivery.note(newest), ignore);
  }

  /**
   * Gives up a connection that is silent where another one is answered. Where none is, Redis is halted or has too little CPU: it knows the
   * subscriptions, and to connect again would only ask more of it.
   */
  private async probe(session: RedisSession): Promise<void> {
    if (this.isProbing) return;
    this.isProbing = true;
    const isAnswered = await isAnswering(this.target, this.closing.signal);
    // One that has been halted answers on both, in any order.
    if (isAnswered) await sleep(checkMs, undefined, { ref: false });
    this.isProbing = false;
    if (isAnswered && session.unanswered > maxUnanswered) session.end(new Error(silent));
  }

  /** Asks for something once announcements are delivered. Fails where Redis falls silent meanwhile; what was asked for is not undone. */
  private ask<T>(work: (session: RedisSession) => Promise<T>): Promise<T> {
    return this.withSession(
      (session) =>
        new Promise((resolve, reject) => {
          const settle =
            <V>(answer: (value: V) => void) =>
            (value: V) => {
              this.asking.delete(reject);
              answer(value);
            };
          this.asking.add(reject);
          this.whenReady(() => work(session)).then(settle(resolve), settle(reject));
        }),
    );
  }

  private async whenReady<T>(work: () => Promise<T>): Promise<T> {
    await this.catchingUp;
    if (!this.delivery.isLive) throw this.unavailable();
    return work();
  }
}

function historyOf(start: Start, { epoch, offset, isKnown, trimmed, moreAfter, messages, isEnded }: Page): History {
  const [first] = messages;
  const from = offsetOf(start);
  const isReset = start === 'earliest' ? trimmed > 0 : from !== undefined && (!isKnown || trimmed > from);
  const after = isPosition(start) && !isReset ? start.offset : first ? first.offset - 1 : offset;
  return { messages, after: { epoch, offset: after }, end: moreAfter ?? offset, hasMore: moreAfter !== undefined, isReset, isEnded };
}

function ignore() {}
