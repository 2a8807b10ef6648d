import type { Redis } from 'ioredis';
import { digestOf } from '../../message/content.js';
import type { Content } from '../../message/message.js';
import type { Position } from '../../message/position.js';
import { Batches } from '../batches.js';
import type { PublishConditions } from '../broker.js';
import { allBounds, boundsOf, type HistoryBounds } from '../history-bounds.js';
import type { ServerSession } from '../session-broker.js';
import type { RedisTarget } from './redis.options.js';
import { RedisAnnouncements } from './redis-announcements.js';
import type { AppendReply, ClearReply } from './redis-append.js';
import { clientOf, disconnect, withTimeLimit } from './redis-connect.js';
import { isReply, isStale } from './redis-errors.js';
import { type Announcement, kindOf, parse } from './redis-message.js';
import { memberOf, namesOf, type ScanReply } from './redis-names.js';
import { type Page, type PagesReply, pagesOf, type ReadOptions, readAtOnce, readBytes, requestOf, slotOf } from './redis-page.js';
import { RedisScriptRunner, type ScriptName } from './redis-script-runner.js';
import { RedisSubscriptions } from './redis-subscriptions.js';
import { TimeLimit } from './time-limit.js';

const unconditional: PublishConditions = {};

/**
 * How many feeds are read with one command, and how many of these may be on their way at a time. Redis closes a connection with
 * subscriptions to which it owes more than 32 MiB, or 8 MiB for a minute (`client-output-buffer-limit`), and announcements count as well.
 */
const reading = { items: readAtOnce, batches: 4 };

/** How long Redis may take to store a message, in milliseconds. Nothing is stored after that. */
const storeMs = 5000;

/** Where Redis is. */
export interface Newest extends Position {
  /** Whether Redis has all that this process has received. */
  readonly isKnown: boolean;
  /** The offset up to which it has that. */
  readonly kept: number;
}

/** What a session is opened with. */
export interface SessionContext {
  readonly target: RedisTarget;
  readonly bounds: HistoryBounds;
  /** Stops the opening. */
  readonly signal: AbortSignal;
  /** The position up to which this process has received messages: Redis may have lost the last of them. */
  readonly received: () => Position | undefined;
  readonly onAnnounced: (announcement: Announcement) => void;
}

/**
 * A connection to Redis, from its opening to its end, for commands and announcements alike: what was announced before a command was carried
 * out arrives before the command's reply. It never reconnects.
 */
export class RedisSession implements ServerSession {
  readonly ended: Promise<Error>;
  /** Where Redis was when the session was opened. */
  newest!: Newest;
  /** Reset to 0 by each reply. Announcements do not count: they also arrive where nothing gets to Redis any more. */
  unanswered = 0;
  /** How many commands wait for their replies. */
  waiting = 0;
  /** Called when one does, and none did before. */
  onWaiting: (() => void) | undefined = undefined;
  /** How many processes share the feeds, as the last `beat()` has found. */
  processes = 1;
  private failure: Error | undefined;
  private readonly scripts = new RedisScriptRunner();
  private readonly stateKey: string;
  readonly streamPrefix: string;
  private readonly keyPrefix: string;
  private readonly namesKey: string;
  /** Distinguishes the channels of databases: Pub/Sub knows none. */
  private readonly channelMark: string;
  private readonly reads = new Batches(reading, (options: readonly ReadOptions[]) => this.readPages(options));
  private readonly subscriptions = new RedisSubscriptions({
    subscribe: (feeds) => this.noteReply(this.announcements.subscribe(feeds)),
    unsubscribe: (feeds) => this.noteReply(this.announcements.unsubscribe(feeds)),
    read: (options) => this.readPages(options),
  });
  private readonly limitTime = new TimeLimit(storeMs, isReply);
  /** The time by the clock of Redis, in microseconds, that was no later than that at `performance.now()` 0. */
  private clock = 0;
  private readonly announcements: RedisAnnouncements;
  private onEnd: (reason: Error) => void = () => {};

  private constructor(
    /** The connection for commands. */
    public redis: Redis,
    private readonly context: SessionContext,
  ) {
    const { prefix } = context.target;
    const { db } = redis.options;
    this.channelMark = db ? `/${db}` : '';
    this.stateKey = `{${prefix}}:state`;
    this.streamPrefix = `{${prefix}}:feed:`;
    this.keyPrefix = `{${prefix}}:key:`;
    this.namesKey = `{${prefix}}:remembered`;
    this.announcements = new RedisAnnouncements(redis, `{${prefix}}${this.channelMark}:feed:`);
    this.ended = new Promise((resolve) => {
      this.onEnd = resolve;
    });
    this.watch(redis);
  }

  /** @throws the reason why it cannot be opened */
  static async open(context: SessionContext): Promise<RedisSession> {
    const { target, signal } = context;
    const session = new RedisSession(await clientOf(target, signal), context);
    try {
      await withTimeLimit(
        signal,
        () => session.disconnect(),
        () => session.begin(),
      );
      return session;
    } catch (error) {
      session.end(error as Error);
      throw session.failure;
    }
  }

  /** Fails after the limit on time, or with an answer of Redis: nothing is stored after that. */
  append(feed: string, content: Content, { key, expected }: PublishConditions = unconditional): Promise<AppendReply> {
    const { bounds } = this.context;
    const { historyLength, historyBytes, historyTtlMs, keepNewest } = boundsOf(bounds, feed);
    const { type = '', text } = content;
    const keys = [this.streamPrefix + feed];
    const values = [historyLength, historyBytes, keepNewest ? 1 : 0, kindOf(content), type, text];
    if (key !== undefined || expected) values.push(expected?.offset ?? '', expected?.epoch ?? '');
    if (key !== undefined) {
      keys.push(`${this.keyPrefix}${feed} ${key}`, this.keyPrefix + feed);
      values.push(digestOf(content), bounds.idempotencyMs);
    }
    return this.change('append', feed, historyTtlMs, keys, values) as Promise<AppendReply>;
  }

  /** Fails as `append()`. */
  clear(feed: string, expected: Position | undefined): Promise<ClearReply> {
    const { bounds } = this.context;
    const keys = [this.streamPrefix + feed, this.keyPrefix + feed];
    const values = [bounds.idempotencyMs, ...(expected ? [expected.offset, expected.epoch] : [])];
    return this.change('clear', feed, boundsOf(bounds, feed).historyTtlMs, keys, values) as Promise<ClearReply>;
  }

  private change(
    script: 'append' | 'clear',
    feed: string,
    historyTtlMs: number,
    keys: readonly string[],
    values: readonly (string | number)[],
  ): Promise<unknown> {
    const deadline = Math.floor(this.clock + (performance.now() + storeMs) * 1000);
    const all = [historyTtlMs * 1000, ...slotOf(feed), this.channelMark, deadline, ...values];
    return this.limitTime.run(this.run(script, keys, all, true));
  }

  /** Fails after the limit on time, or with an answer of Redis. */
  async remember(name: string, until: number): Promise<void> {
    await this.limitTime.run(this.run('remember', [this.namesKey], [until, memberOf(name)], true));
  }

  remembered(): Promise<Map<string, number>> {
    return namesOf((cursor) => this.run('remembered', [this.namesKey], [cursor]) as Promise<ScanReply>);
  }

  /** Asks whether Redis is the one that it was, and has what this process has received. */
  async beat(): Promise<Newest> {
    const { context } = this;
    const received = context.received();
    const shortestTtlMs = Math.min(...allBounds(context.bounds).map(({ historyTtlMs }) => historyTtlMs));
    const values = [shortestTtlMs * 1000, received?.offset ?? 0, received?.epoch ?? '', this.announcements.channelPrefix];
    const reply = (await this.run('beat', [], values)) as [string, string, number, string, string, number];
    const [epoch, offset, isKnown, kept, now, processes] = reply;
    this.clock = Number(now) - performance.now() * 1000;
    this.processes = Number(processes);
    return { epoch, offset: Number(offset), isKnown: isKnown === 1, kept: Number(kept) };
  }

  /** Reads a page: of a feed that is being subscribed to, behind its subscription. */
  async read(options: ReadOptions): Promise<Page> {
    return (await this.subscriptions.readBehind(options)) ?? this.reads.add(options);
  }

  /** Resolves with the position from which on the feed's messages are announced. */
  subscribe(feed: string): Promise<Position> {
    return this.subscriptions.subscribe(feed);
  }

  unsubscribe(feed: string): Promise<void> {
    return this.subscriptions.unsubscribe(feed);
  }

  /** Closes the connection. Commands without a reply fail, and those that wait for their turn. */
  end(reason: Error): void {
    this.failure ??= reason;
    this.disconnect();
  }

  private watch(redis: Redis): void {
    redis.on('error', (error: Error) => {
      this.failure = error;
    });
    // The slot has moved to another node of the cluster.
    redis.on('moved', () => this.end(new Error('the hash slot has moved')));
    redis.once('end', () => {
      this.onEnd(this.failure ?? new Error('the connection was closed'));
      this.disconnect();
    });
  }

  private disconnect(): void {
    disconnect(this.redis);
    if (this.redis !== this.announcements.redis) disconnect(this.announcements.redis);
  }

  private async begin(): Promise<void> {
    const { announcements, context } = this;
    await announcements.connect();
    if (!announcements.isOnly) {
      const redis = await clientOf(context.target, context.signal);
      if (announcements.redis.status === 'end') throw new Error('the connection was closed');
      this.redis = redis;
      this.watch(redis);
      await redis.connect();
    }
    await announcements.probe(this.redis);
    announcements.listen((feed, text) => {
      const announcement = parse(feed, text);
      if (announcement) context.onAnnounced(announcement);
    });
    await this.scripts.load(this.redis);
    // The clock must be known before the first message is appended.
    this.newest = await this.beat();
  }

  /** Reads what finds room in one reply, and of the first feed at least a message. Where all start at the end, no stream is looked at. */
  private async readPages(options: readonly ReadOptions[]): Promise<(Page | undefined)[]> {
    const { feeds, values } = requestOf(options, this.context.bounds);
    await this.announcements.subscribed; // what is published between the two is announced
    const keys = feeds.map((feed) => this.streamPrefix + feed);
    return pagesOf(options, (await this.run('read', keys, [readBytes, ...values])) as PagesReply);
  }

  /** @param stores whether the reply says that something is stored */
  run(script: ScriptName, others: readonly string[], values: readonly (string | number)[], stores = false): Promise<unknown> {
    return this.noteReply(this.scripts.run(this.redis, script, [this.stateKey, ...others], values), stores);
  }

  /** @param stores whether the reply says that something is stored, which is so whatever becomes of the announcements */
  private async noteReply<T>(reply: Promise<T>, stores = false): Promise<T> {
    this.waiting += 1;
    if (this.waiting === 1) this.onWaiting?.();
    try {
      const value = await reply;
      const arrived = this.announcements.arrived();
      if (arrived) await (stores ? arrived.catch(() => {}) : arrived);
      return value;
    } catch (error) {
      if (isStale(error)) this.end(error as Error);
      throw error;
    } finally {
      this.waiting -= 1;
      this.unanswered = 0;
    }
  }
}
