import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import pLimit from 'p-limit';
import type { Content, StoredMessage } from '../../message/message.js';
import type { Position, Start } from '../../message/position.js';
import { type HistoryBounds, messageOverhead } from '../broker.js';
import { newEpoch } from '../epoch.js';
import type { ServerSession } from '../session-broker.js';
import type { RedisTarget } from './redis.options.js';
import { clientOf, disconnect, withTimeLimit } from './redis-connect.js';
import { type Announcement, kindOf, messageOf, parse } from './redis-message.js';
import { append, read } from './redis-scripts.js';

/**
 * How many pages of history may be on their way at a time, and how many bytes each may have, unless a single message is larger. Redis
 * closes a connection with subscriptions to which it owes more than 32 MiB, or 8 MiB for a minute (`client-output-buffer-limit`), and
 * announcements count as well.
 */
const maxPages = 8;
const maxPageBytes = 2 ** 19;

/** Replies after which a new connection is needed: to the new master, to the slot's new owner, or with the scripts loaded. */
const staleReplies = /^(READONLY|MOVED|ASK|CLUSTERDOWN|MASTERDOWN|LOADING|NOSCRIPT|UNBLOCKED)\b/;

/** What is read of a feed's stream. */
interface ReadOptions {
  readonly feed: string;
  readonly start: Start;
  /** The last offset to read. Default: no bound. */
  readonly upTo?: number | undefined;
  /** Default: as many bytes as one reply may have. */
  readonly limitBytes?: number;
  /** The position up to which this process has received messages: Redis may have lost the last of them. */
  readonly received: Position | undefined;
}

/** A page of a feed's stream. */
export interface Page {
  readonly epoch: string;
  /** The offset of the newest message of all feeds. */
  readonly offset: number;
  /** Whether the start is a position in this epoch. */
  readonly isKnown: boolean;
  /** The offset up to which messages are gone, … */
  readonly trimmed: number;
  /** … or, where this is false, may be gone. */
  readonly isExact: boolean;
  /** The offset of the last message of the page, where more messages follow. */
  readonly moreAfter: number | undefined;
  readonly messages: readonly StoredMessage[];
}

/** What a session is opened with. */
export interface SessionContext {
  readonly target: RedisTarget;
  readonly bounds: HistoryBounds;
  /** Stops the opening. */
  readonly signal: AbortSignal;
  readonly onAnnounced: (feed: string, announcement: Announcement) => void;
}

/**
 * A connection to Redis, from its opening to its end, for commands and announcements alike (RESP 3): what was announced before a command
 * was carried out arrives before the command's reply. It never reconnects.
 *
 * A client that speaks RESP 2, as ioredis 5 does, needs a second connection for announcements. The order is the same: a reply counts once
 * that connection has answered a `PING` that was sent behind it.
 */
export class RedisSession implements ServerSession {
  readonly ended: Promise<Error>;
  /** Reset to 0 by each reply and announcement. */
  unanswered = 0;
  private failure: Error | undefined;
  private scripts: { append: string; read: string } = { append: '', read: '' };
  private readonly stateKey: string;
  private readonly streamPrefix: string;
  private readonly limitPages = pLimit(maxPages);
  /** What announcements arrive on: the connection for commands, unless that cannot have both. */
  private readonly announcements: Redis;
  /** Where they are two: resolves when the last subscription is confirmed. */
  private subscribed: Promise<unknown> | undefined;
  /** Where they are two: the `PING` that the replies of this turn of the event loop wait for. */
  private ping: Promise<unknown> | undefined;
  private onEnd: (reason: Error) => void = () => {};

  private constructor(
    private redis: Redis,
    private readonly context: SessionContext,
  ) {
    const { prefix } = context.target;
    this.stateKey = `{${prefix}}:state`;
    this.streamPrefix = `{${prefix}}:feed:`;
    this.announcements = redis;
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

  async append(feed: string, content: Content): Promise<StoredMessage> {
    const { historyTtlMs, historyLength, historyBytes } = this.context.bounds;
    const { type = '', text } = content;
    const bounds = [historyTtlMs * 1000, historyLength, historyBytes, messageOverhead];
    const [epoch, offset] = (await this.run('append', feed, [...bounds, kindOf(content), type, text])) as [string, string];
    return messageOf(feed, epoch, Number(offset), content);
  }

  async read(options: ReadOptions): Promise<Page> {
    const { feed, start, upTo = '+', limitBytes = maxPageBytes, received } = options;
    const from = typeof start === 'string' ? [start, ''] : [start.offset, start.epoch];
    const known = [received?.offset ?? 0, received?.epoch ?? ''];
    const values = [this.context.bounds.historyTtlMs * 1000, ...from, upTo, ...known, Math.min(limitBytes, maxPageBytes)];
    if (this.subscribed) await this.subscribed; // what is published between the two is announced
    const isSmall = start === 'end' || start === 'newest';
    const reply = await (isSmall ? this.run('read', feed, values) : this.limitPages(() => this.run('read', feed, values)));
    const [epoch, offset, isKnown, trimmed, isExact, moreAfter, messages] = reply as [
      string,
      string,
      number,
      string,
      number,
      string,
      string[],
    ];
    return {
      epoch,
      offset: Number(offset),
      isKnown: isKnown === 1,
      trimmed: Number(trimmed),
      isExact: isExact === 1,
      moreAfter: moreAfter === '' ? undefined : Number(moreAfter),
      messages: messages.flatMap((message) => parse(feed, message)?.message ?? []),
    };
  }

  async subscribe(feeds: readonly string[]): Promise<void> {
    const subscribing = this.announcements.ssubscribe(...feeds.map((feed) => this.streamPrefix + feed));
    if (!this.isOne) this.subscribed = subscribing.catch(ignore);
    await this.noteReply(subscribing);
  }

  async unsubscribe(feed: string): Promise<void> {
    await this.noteReply(this.announcements.sunsubscribe(this.streamPrefix + feed));
  }

  /** Closes the connection. Commands without a reply fail, and those that wait for their turn. */
  end(reason: Error): void {
    this.failure ??= reason;
    this.disconnect();
  }

  private get isOne(): boolean {
    return this.redis === this.announcements;
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
    if (!this.isOne) disconnect(this.announcements);
  }

  private async begin(): Promise<void> {
    const { announcements, context, streamPrefix } = this;
    await announcements.connect();
    // Redis does not undo a script that may not publish: messages that publishers are told have failed would be stored. The prefix alone
    // is no feed's channel.
    await announcements.ssubscribe(streamPrefix).catch((error: Error) => {
      if (!error.message.includes('unknown command')) throw error;
      throw new Error(`Redis 7 or Valkey is needed: ${error.message}`, { cause: error });
    });
    if (announcements.mode === 'subscriber') {
      const redis = await clientOf(context.target, context.signal);
      if (announcements.status === 'end') throw new Error('the connection was closed');
      this.redis = redis;
      this.watch(redis);
      await redis.connect();
    }
    await this.tryAnnouncing();
    await announcements.sunsubscribe(streamPrefix);
    const { redis } = this;
    announcements.on('smessage', (channel: string, text: string) => {
      if (this.isOne) this.unanswered = 0; // otherwise it says nothing of the connection for commands
      const feed = channel.slice(streamPrefix.length);
      const announcement = parse(feed, text);
      if (announcement) this.context.onAnnounced(feed, announcement);
    });
    const [appendSha, readSha] = await Promise.all([redis.script('LOAD', append), redis.script('LOAD', read)]);
    this.scripts = { append: String(appendSha), read: String(readSha) };
  }

  /** Announces something to itself: behind a proxy, or while Sentinels choose a master, two connections may lead to two servers. */
  private async tryAnnouncing(): Promise<void> {
    const { announcements, streamPrefix } = this;
    const token = newEpoch();
    let isHeard = false;
    const listen = (_channel: string, text: string) => {
      isHeard ||= text === token;
    };
    announcements.on('smessage', listen);
    await this.redis.spublish(streamPrefix, token).catch((error: Error) => {
      if (!error.message.includes('allowed in this context')) throw error;
      throw new Error('ioredis 5.3 or later is needed', { cause: error });
    });
    await this.arrived();
    announcements.off('smessage', listen);
    if (!isHeard) throw new Error('its two connections, for commands and for announcements, lead to different servers');
  }

  /** Resolves when all has arrived that was announced before the replies of this turn of the event loop. */
  private arrived(): Promise<unknown> | undefined {
    if (this.isOne) return undefined;
    if (!this.ping) {
      this.ping = this.announcements.ping();
      process.nextTick(() => {
        this.ping = undefined;
      });
    }
    return this.ping;
  }

  private run(script: 'append' | 'read', feed: string, values: readonly (string | number)[]): Promise<unknown> {
    const hash = createHash('sha1').update(feed).digest();
    const slot = [hash.readUInt16BE(0), hash.toString('hex', 2, 6)];
    const keys = [this.stateKey, this.streamPrefix + feed];
    return this.noteReply(this.redis.evalsha(this.scripts[script], keys.length, ...keys, ...slot, newEpoch(), ...values));
  }

  private async noteReply<T>(reply: Promise<T>): Promise<T> {
    try {
      const value = await reply;
      if (!this.isOne) await this.arrived();
      return value;
    } catch (error) {
      if (staleReplies.test((error as Error).message)) this.end(error as Error);
      throw error;
    } finally {
      this.unanswered = 0;
    }
  }
}

/** Whether Redis is available and rejects a command: for want of memory, of replicas, or of a permission. */
export function isRejection(error: unknown): error is Error {
  // By its name: an application's own client may come from another copy of ioredis.
  return error instanceof Error && error.name === 'ReplyError' && !staleReplies.test(error.message);
}

function ignore() {}
