import { Redis, type RedisOptions, ReplyError } from 'ioredis';
import type { Address, RedisTarget } from './redis.options.js';
import { append, read } from './redis-scripts.js';
import { Turns } from './turns.js';

/** How long a connection may take to open, what it is asked for then included, in milliseconds. */
const openMs = 5000;
/** How long a Sentinel may take to answer, in milliseconds. */
const sentinelMs = 1000;

/**
 * How much history may be on its way at a time, in bytes and in reads. Redis cuts off a connection with subscriptions that has more than
 * 32 MiB still to take, or 8 MiB for a minute (`client-output-buffer-limit`), and what is announced counts, too.
 */
const mostReadBytes = 6 * 2 ** 20;
const mostReads = 8;

/** Replies after which another connection is worth more than this one: to the new master, the slot's new owner, or with scripts loaded. */
const staleReplies = /^(READONLY|MOVED|ASK|CLUSTERDOWN|MASTERDOWN|LOADING|NOSCRIPT|UNBLOCKED)\b/;

export interface Arguments {
  readonly keys: readonly [string, string];
  readonly values: readonly (string | number)[];
}

/** What a session is opened with. */
export interface SessionContext {
  readonly target: RedisTarget;
  /** Bytes of a feed that one read may reply. */
  readonly historyBytes: number;
  /** A channel that no feed has, under the names that the broker uses. */
  readonly probe: string;
  /** Gives up what has not opened yet. */
  readonly signal: AbortSignal;
  readonly onAnnounced: (channel: string, message: string) => void;
}

/**
 * One connection to Redis, from its opening to its end, for commands and announcements alike (RESP 3): what was announced before a command
 * was carried out comes before the command's reply. It never reconnects.
 */
export class RedisSession {
  /** Resolves with what went wrong, or with undefined where it was closed here. */
  readonly ended: Promise<Error | undefined>;
  private failure: Error | undefined;
  private heardAt = performance.now();
  private scripts: { append: string; read: string } = { append: '', read: '' };

  /** Of reads that may reply a feed's whole history. */
  private readonly turns: Turns;

  private constructor(
    private readonly redis: Redis,
    { historyBytes }: SessionContext,
  ) {
    this.turns = new Turns(Math.max(1, Math.min(mostReads, Math.floor(mostReadBytes / historyBytes))));
    redis.on('error', (error: Error) => {
      this.failure = error;
    });
    // The slot has moved to another node of the cluster.
    redis.on('moved', () => this.give(new Error('the hash slot has moved')));
    this.ended = new Promise((resolve) =>
      redis.once('end', () => {
        this.turns.fail(this.failure ?? new Error('the connection has been closed'));
        resolve(this.failure);
      }),
    );
  }

  /** @throws what kept it from opening */
  static async open(context: SessionContext): Promise<RedisSession> {
    const { target, signal } = context;
    const session = new RedisSession(new Redis(await whereabouts(target, signal)), context);
    try {
      await opening(session.redis, signal, () => session.begin(context));
      return session;
    } catch (error) {
      session.close();
      throw session.failure ?? error;
    }
  }

  /** How long nothing has come, in milliseconds. */
  get silentMs(): number {
    return performance.now() - this.heardAt;
  }

  append(args: Arguments): Promise<unknown> {
    return this.run('append', args);
  }

  /** A read whose reply is a message at most. */
  read(args: Arguments): Promise<unknown> {
    return this.run('read', args);
  }

  /** A read whose reply may be a feed's whole history: only a few are on their way at a time. */
  readHistory(args: Arguments): Promise<unknown> {
    return this.turns.take(() => this.run('read', args));
  }

  async subscribe(channels: string[]): Promise<void> {
    await this.heard(this.redis.ssubscribe(...channels));
  }

  async unsubscribe(channel: string): Promise<void> {
    await this.heard(this.redis.sunsubscribe(channel));
  }

  /** Gives the connection up: what waits for a reply fails. */
  give(reason: Error): void {
    this.failure ??= reason;
    this.close();
  }

  close(): void {
    cut(this.redis);
  }

  private async begin({ probe, onAnnounced }: SessionContext): Promise<void> {
    await this.redis.connect();
    // A script is not undone where it may not announce: it would keep messages of which everybody is told that they are not kept.
    await this.redis.ssubscribe(probe).catch((error: Error) => {
      if (!error.message.includes('unknown command')) throw error;
      throw new Error(`Redis 7 or Valkey is needed: ${error.message}`, { cause: error });
    });
    await this.redis.spublish(probe, '');
    await this.redis.sunsubscribe(probe);
    this.redis.on('smessage', (channel: string, message: string) => {
      this.heardAt = performance.now();
      onAnnounced(channel, message);
    });
    const [appendSha, readSha] = await Promise.all([this.redis.script('LOAD', append), this.redis.script('LOAD', read)]);
    this.scripts = { append: String(appendSha), read: String(readSha) };
  }

  private run(script: 'append' | 'read', { keys, values }: Arguments): Promise<unknown> {
    return this.heard(this.redis.evalsha(this.scripts[script], keys.length, ...keys, ...values));
  }

  private async heard<T>(reply: Promise<T>): Promise<T> {
    try {
      return await reply;
    } catch (error) {
      if (staleReplies.test((error as Error).message)) this.give(error as Error);
      throw error;
    } finally {
      this.heardAt = performance.now();
    }
  }
}

/** Whether Redis is there and does not do what it is asked for: for want of memory, of replicas, or of a permission. */
export function isRefusal(error: unknown): error is Error {
  return error instanceof ReplyError && !staleReplies.test((error as Error).message);
}

const once: RedisOptions = {
  protocol: 3,
  lazyConnect: true,
  connectTimeout: openMs,
  sentinelCommandTimeout: sentinelMs,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResubscribe: false,
  retryStrategy: () => null,
};

/** Does what opens a connection, and cuts it where that takes too long: a server that stands still accepts connections, and never answers. */
async function opening<T>(redis: Redis, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  let isLate = false;
  const abort = () => cut(redis);
  const timer = setTimeout(() => {
    isLate = true;
    cut(redis);
  }, openMs);
  signal.addEventListener('abort', abort);
  try {
    return await work();
  } catch (error) {
    throw isLate ? new Error(`no answer for ${openMs} ms`, { cause: error }) : error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}

function cut(redis: Redis): void {
  redis.disconnect();
  redis.stream?.destroy(); // one that waits for the other side's end may wait for ever
}

/** The options of ioredis for the server that is to be talked to just now. */
async function whereabouts(target: RedisTarget, signal: AbortSignal): Promise<RedisOptions> {
  const { mode, addresses, client } = target;
  const options = { ...client, ...once };
  if (mode === 'single') return { ...options, ...addresses[0] };
  if (mode === 'sentinel') return { ...options, sentinels: shuffled(addresses), sentinelRetryStrategy: () => null };
  return { ...options, ...(await ownerOf(target, signal)) };
}

/** The node of the cluster that has the prefix's hash slot. */
async function ownerOf({ addresses, prefix, client }: RedisTarget, signal: AbortSignal): Promise<Address> {
  let failure: unknown;
  for (const address of shuffled(addresses)) {
    const redis = new Redis({ ...client, ...once, ...address });
    redis.on('error', (error) => {
      failure = error;
    });
    try {
      const [slot, ranges] = await opening(redis, signal, async () => {
        await redis.connect();
        return Promise.all([redis.cluster('KEYSLOT', prefix), redis.cluster('SLOTS')]);
      });
      const range = ranges.find(([first, last]) => first <= slot && slot <= last);
      if (!range) throw new Error(`no node of the cluster has hash slot ${slot}`);
      // A node that does not know its own address means the one at which it was reached.
      const [host, port] = range[2];
      return { host: host || address.host, port };
    } catch (error) {
      failure ??= error;
    } finally {
      cut(redis);
    }
  }
  throw failure;
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
