import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerUnavailableError, reasonOf } from '../../errors/broker.errors.js';
import { type Content, type StoredMessage } from '../../message/message.js';
import { type Start } from '../../message/position.js';
import { type Broker, type BrokerContext, type History, type MessageSink, messageOverhead } from '../broker.js';
import { Outage } from '../outage.js';
import type { RedisTarget } from './redis.options.js';
import { type Announcement, kindOf, messageOf, parse } from './redis-message.js';
import { type Arguments, isRefusal, RedisSession } from './redis-session.js';

/** How long a start waits for Redis, in milliseconds. */
const startMs = 6000;
/** The shortest and the longest pause before another connection is tried, in milliseconds; in between it doubles, less up to a half at random. */
const shortestPauseMs = 50;
const longestPauseMs = 5000;
/** How often Redis is asked for its last offset, and so whether it is there, in milliseconds. */
const beatMs = 1000;
/** How long it may be silent before its connection is given up, in milliseconds. */
const longestSilenceMs = 3000;
/** How many feeds are subscribed with one command. */
const subscribedAtOnce = 500;
/** What is missed is fetched in stretches, in the order of all feeds: how long the first is, in microseconds, … */
const firstStretch = 1_000_000;
/** … and how many messages make the next one as long, instead of twice as long. */
const stretchMessages = 1000;

/** Another epoch than before: the next connection finds out what there is now. */
const lostAll = 'Redis has lost what it knew';

/** A feed that somebody follows here. */
interface Followed {
  readonly feed: string;
  readonly sink: MessageSink;
  /** The offset up to which all of its messages have been delivered, or were there before; undefined until that is known. */
  last: number | undefined;
  /** Whether it is being subscribed. An earlier subscription may still bring something: what came in between the two is not missed. */
  isNew: boolean;
  /** Whether its messages are gone, which is still to be told. */
  isLost: boolean;
}

/** What the script that reads replies. */
interface Reply {
  readonly epoch: string;
  /** Of the last message of all feeds. */
  readonly offset: number;
  readonly isKnown: boolean;
  /** The offset up to which messages are gone, … */
  readonly dropped: number;
  /** … or, where it is not exact, may be. */
  readonly isExact: boolean;
  readonly announcements: readonly Announcement[];
}

/**
 * Keeps each feed in a stream of Redis and announces its messages by sharded Pub/Sub (Redis 7, Valkey), both in one atomic step.
 *
 * An announcement says which message came before it, so that a missed one is seen. What was missed, for that or because the connection
 * was gone, is fetched from the streams before anything else is delivered.
 */
export class RedisBroker implements Broker {
  readonly name = 'redis';
  private readonly followed = new Map<string, Followed>();
  private readonly keyPrefix: string;
  private epoch: string | undefined;
  /** The offset up to which all that was announced has been delivered. */
  private offset = 0;
  /** The connection, once it is open. */
  private session: RedisSession | undefined;
  /** Whether announcements are delivered as they come; else what was missed is being fetched. */
  private isLive = false;
  private readonly outage: Outage;
  /** Whether Redis is there, and did not take what was published last. */
  private isRefusing = false;
  /** Resolves when announcements are delivered again; undefined while they are, and while there is no connection. */
  private fetching: Promise<void> | undefined;
  /** What is announced while the last of what was missed is fetched. */
  private held: Announcement[] | undefined;
  private readonly closing = new AbortController();
  private ended: Promise<void> | undefined;

  constructor(
    private readonly target: RedisTarget,
    private readonly context: BrokerContext,
  ) {
    this.keyPrefix = `{${target.prefix}}:feed:`;
    this.outage = new Outage('Redis', context.log);
  }

  get unavailableSince(): number | undefined {
    return this.outage.since;
  }

  get unavailableReason(): string | undefined {
    return this.outage.reason;
  }

  /** Connects, and again whenever the connection is lost; resolves when the first attempt has come out, or after some seconds. */
  start(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, startMs);
      this.ended = this.run(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  async publish(feed: string, content: Content): Promise<StoredMessage> {
    const { type, text, isJson } = content;
    const { historyTtlMs, historyLength, historyBytes } = this.context;
    const values = [historyTtlMs * 1000, historyLength, historyBytes, messageOverhead, kindOf(content), type ?? '', text];
    const [epoch, offset] = (await this.append(this.argumentsFor(feed, values))) as [string, string];
    this.noteSeen(epoch, Number(offset));
    return messageOf(feed, epoch, Number(offset), type, text, isJson);
  }

  async subscribe(feed: string, sink: MessageSink): Promise<void> {
    const followed: Followed = { feed, sink, last: undefined, isNew: true, isLost: false };
    this.followed.set(feed, followed);
    await this.ready();
    if (this.followed.get(feed) !== followed) return;
    const session = this.session as RedisSession;
    try {
      const [, { offset }] = await Promise.all([session.subscribe([this.keyPrefix + feed]), this.fetch(feed, 'end')]);
      followed.last = Math.max(followed.last ?? 0, offset);
      followed.isNew = false;
    } catch (error) {
      throw away(error);
    }
  }

  unsubscribe(feed: string): void {
    if (this.followed.delete(feed)) this.session?.unsubscribe(this.keyPrefix + feed).catch(ignore);
  }

  async read(feed: string, start: Start): Promise<History> {
    await this.ready();
    const reply = await this.fetch(feed, start);
    this.noteSeen(reply.epoch, reply.offset);
    if (reply.epoch !== this.epoch) throw new BrokerUnavailableError(lostAll);
    const followed = this.followed.get(feed);
    if (followed?.last !== undefined) followed.last = Math.max(followed.last, reply.offset);
    return historyOf(start, reply);
  }

  async close(): Promise<void> {
    this.closing.abort();
    this.followed.clear();
    this.session?.close();
    await this.ended;
  }

  /** Connects until the broker is closed. */
  private async run(onFirstAttempt: () => void): Promise<void> {
    const { signal } = this.closing;
    for (let failures = 0; !signal.aborted; failures += 1) {
      try {
        const session = await RedisSession.open({
          target: this.target,
          historyBytes: this.context.historyBytes,
          probe: this.keyPrefix,
          signal,
          onAnnounced: (channel, message) => this.onAnnounced(session, channel, message),
        });
        if (signal.aborted) session.close();
        this.session = session;
        const timer = setInterval(() => this.beat(session), beatMs).unref();
        session.ended.then(() => clearInterval(timer));
        this.fetching = this.catchUp(session).catch((error) => session.give(error));
        await this.fetching;
        if (this.isLive) {
          failures = 0;
          onFirstAttempt();
        }
        this.noteAway(await session.ended);
      } catch (error) {
        this.noteAway(error as Error);
      }
      onFirstAttempt();
      const pause = Math.min(longestPauseMs, shortestPauseMs * 2 ** failures);
      await sleep(pause * (1 - Math.random() / 2), undefined, { signal }).catch(ignore);
    }
  }

  private beat(session: RedisSession): void {
    if (session.silentMs > longestSilenceMs) session.give(new Error(`no answer for ${longestSilenceMs} ms`));
    else if (this.isLive) this.fetch('', 'end').then(({ epoch, offset }) => this.noteSeen(epoch, offset), ignore);
  }

  private noteAway(error: Error | undefined): void {
    this.session = undefined;
    this.isLive = false;
    this.fetching = undefined;
    this.held = undefined;
    if (this.closing.signal.aborted) return;
    this.outage.note(error ? reasonOf(error) : 'it closed the connection');
  }

  private noteLive(): void {
    this.isLive = true;
    this.fetching = undefined;
    if (!this.isRefusing) this.outage.end();
  }

  /** Resolves when announcements are delivered. */
  private async ready(): Promise<void> {
    await this.fetching;
    if (!this.isLive) throw new BrokerUnavailableError('Redis is away.');
  }

  private onAnnounced(session: RedisSession, channel: string, text: string): void {
    if (session !== this.session) return;
    const followed = this.followed.get(channel.slice(this.keyPrefix.length));
    if (!followed) return;
    const announcement = parse(followed.feed, text);
    if (!announcement) return;
    if (this.isLive) this.take(followed, announcement);
    else this.held?.push(announcement);
  }

  private take(followed: Followed, { message, previous, isExact }: Announcement): void {
    const { epoch, offset } = message;
    const { last } = followed;
    if (epoch === this.epoch && last !== undefined) {
      if (offset <= last) return;
      // Where it is not exact, the message before it is older than history: then all that has come counts.
      if (previous > last && !followed.isNew && (isExact || previous > this.offset)) {
        this.giveUp(new Error(`an announcement of feed ${followed.feed} is missing`));
        return;
      }
    }
    this.noteSeen(epoch, offset);
    if (epoch === this.epoch) this.deliver(followed, message);
  }

  /** What was announced up to this offset has come: on the same connection, and before whatever names the offset. */
  private noteSeen(epoch: string, offset: number): void {
    if (!this.isLive) return;
    if (epoch === this.epoch) this.offset = Math.max(this.offset, offset);
    else this.giveUp(new Error(lostAll));
  }

  /** What comes from now on waits until another connection has fetched what is missing. */
  private giveUp(reason: Error): void {
    this.isLive = false;
    this.session?.give(reason);
  }

  private deliver(followed: Followed, message: StoredMessage): void {
    followed.last = message.offset;
    followed.sink.next(message);
  }

  /** Subscribes all feeds that are followed, and delivers what they have missed, in the order of all. */
  private async catchUp(session: RedisSession): Promise<void> {
    const all = [...this.followed.values()];
    for (let n = 0; n < all.length; n += subscribedAtOnce) {
      const some = all.slice(n, n + subscribedAtOnce).filter((followed) => this.followed.get(followed.feed) === followed);
      if (some.length > 0) await session.subscribe(some.map(({ feed }) => this.keyPrefix + feed));
    }

    const { epoch, offset: end } = await this.fetch('', 'end');
    if (this.epoch !== undefined && this.epoch !== epoch) {
      for (const followed of all) if (followed.last !== undefined) Object.assign(followed, { last: 0, isLost: true });
      this.offset = 0;
    }
    this.epoch = epoch;
    for (const followed of all) {
      followed.last ??= end;
      followed.isNew = false;
    }

    // All up to the offset has been delivered, however long some feeds have been silent, and what is older than history is gone. Where an
    // announcement never came, the first stretch has its message: each feed is read from its own last one on.
    const least = all.reduce((least, { last = end }) => Math.min(least, last), end);
    let from = Math.max(least, this.offset, end - this.context.historyTtlMs * 1000);
    for (let length = firstStretch, isEnd = false; !isEnd; ) {
      from += length;
      isEnd = from >= end;
      // From here on, what is announced comes behind what is fetched.
      if (isEnd) this.held = [];
      const replies = await Promise.all(
        all.map(({ feed, last }) => this.fetch(feed, { epoch, offset: last as number }, isEnd ? '+' : from)),
      );
      const count = this.deliverMissed(all, replies, isEnd);
      if (count < stretchMessages) length *= 2;
    }
    this.noteLive();
    const held = this.held ?? [];
    this.held = undefined;
    for (const announcement of held) {
      const followed = this.followed.get(announcement.message.feed);
      if (followed && this.isLive) this.take(followed, announcement);
    }
  }

  /** Returns how many messages that were. */
  private deliverMissed(all: readonly Followed[], replies: readonly Reply[], isEnd: boolean): number {
    const missed: { followed: Followed; message: StoredMessage }[] = [];
    // The feeds are read one after the other. What has come since the first was read has been announced, and is held: in the order of all.
    const end = isEnd ? (replies[0]?.offset ?? 0) : Number.POSITIVE_INFINITY;
    for (const [n, followed] of all.entries()) {
      const { isKnown, dropped, isExact, announcements } = replies[n] as Reply;
      // Redis has lost its last messages, which were delivered here: nothing is missing.
      if (!isKnown || this.followed.get(followed.feed) !== followed) continue;
      const first = announcements[0]?.message;
      const last = followed.last as number;
      if ((first || isEnd) && (followed.isLost || dropped > (isExact ? last : Math.max(last, this.offset)))) {
        followed.isLost = false;
        followed.sink.lost(first);
      }
      for (const { message } of announcements) if (message.offset <= end) missed.push({ followed, message });
    }
    missed.sort((a, b) => a.message.offset - b.message.offset);
    for (const { followed, message } of missed) if (this.followed.get(followed.feed) === followed) this.deliver(followed, message);
    if (isEnd) {
      for (const followed of all) followed.last = Math.max(followed.last as number, end);
      this.offset = Math.max(this.offset, end);
    }
    return missed.length;
  }

  private async fetch(feed: string, start: Start, upTo: number | '+' = '+'): Promise<Reply> {
    const values = [
      this.context.historyTtlMs * 1000,
      ...(typeof start === 'string' ? [start, ''] : [start.offset, start.epoch]),
      upTo,
      this.offset,
      this.epoch ?? '',
    ];
    const script = start === 'end' || start === 'newest' ? 'read' : 'readHistory';
    const reply = (await this.ask(script, this.argumentsFor(feed, values))) as [string, string, number, string, number, string[]];
    const [epoch, offset, isKnown, dropped, isExact, messages] = reply;
    return {
      epoch,
      offset: Number(offset),
      isKnown: isKnown === 1,
      dropped: Number(dropped),
      isExact: isExact === 1,
      announcements: messages.flatMap((message) => parse(feed, message) ?? []),
    };
  }

  /** A Redis that refuses counts as away until it takes something: the nodes announce themselves all the time. */
  private async append(args: Arguments): Promise<unknown> {
    try {
      const reply = await this.ask('append', args);
      if (this.isRefusing && this.isLive) this.outage.end();
      this.isRefusing = false;
      return reply;
    } catch (error) {
      const { cause } = error as BrokerUnavailableError;
      if (!isRefusal(cause)) throw error;
      this.isRefusing = true;
      this.outage.note(`it refuses what is published: ${reasonOf(cause)}`);
      throw error;
    }
  }

  private async ask(script: 'append' | 'read' | 'readHistory', args: Arguments): Promise<unknown> {
    const { session } = this;
    if (!session) throw new BrokerUnavailableError('Redis is away.');
    try {
      return await session[script](args);
    } catch (error) {
      throw away(error);
    }
  }

  private argumentsFor(feed: string, values: readonly (string | number)[]): Arguments {
    const hash = createHash('sha1').update(feed).digest();
    const epoch = `${Date.now().toString(36)}${Math.floor(Math.random() * 36 ** 4).toString(36)}`;
    return {
      keys: [`{${this.target.prefix}}:state`, this.keyPrefix + feed],
      values: [hash.readUInt16BE(0), hash.toString('hex', 2, 6), epoch, ...values],
    };
  }
}

function historyOf(start: Start, { epoch, offset, isKnown, dropped, announcements }: Reply): History {
  const messages = announcements.map(({ message }) => message);
  const [first] = messages;
  if (typeof start !== 'string') {
    const isReset = !isKnown || dropped > start.offset;
    const after = isReset ? (first ? dropped : offset) : start.offset;
    return { messages, after: { epoch, offset: after }, end: offset, hasMore: false, isReset };
  }
  const before = start === 'newest' && first ? first.offset - 1 : dropped;
  return { messages, after: { epoch, offset: first ? before : offset }, end: offset, hasMore: false, isReset: false };
}

function away(error: unknown): BrokerUnavailableError {
  return error instanceof BrokerUnavailableError
    ? error
    : new BrokerUnavailableError(`Redis is away: ${reasonOf(error)}`, { cause: error });
}

function ignore() {}
