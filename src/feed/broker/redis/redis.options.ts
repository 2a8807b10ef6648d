import type { Redis, RedisOptions } from 'ioredis';
import { FeedOptionsError } from '../../errors/feed-options.error.js';
import { type Address, addressOf } from '../address.js';

/** Makes a client of ioredis that does not connect by itself; what these options have must stay. */
export type RedisFactory = (options: RedisOptions) => Redis;

/** Where Redis or Valkey is, and how this application's keys are named. */
export interface RedisBrokerOptions {
  /**
   * - `redis://[user:password@]host[:port][/database]`, or `rediss://…` with TLS
   * - `redis+sentinel://[user:password@]host[:port],…/name`: the master that these Sentinels know by the name
   * - `redis+cluster://[user:password@]host[:port],…`: a cluster, by the addresses of some of its nodes
   *
   * With TLS: `rediss+sentinel://…` (for the Sentinels as well), `rediss+cluster://…`. User and password are those of Redis. Those of
   * Sentinels are options of the client: `client: { sentinelUsername, sentinelPassword }`.
   *
   * Default: what `client` says, where that is a client or a function.
   */
  url?: string;
  /**
   * Beginning of the names of keys and channels: 1 to 100 characters out of `A-Z a-z 0-9 _ . : -`. Feeds of another prefix are other
   * feeds. All keys of a prefix are in one hash slot, and so on one shard of a cluster. Default: `nestjs-feed`.
   */
  prefix?: string;
  /**
   * - further options of ioredis, such as `tls`, except `keyPrefix`
   * - a client of the application, instead of a URL: the broker makes connections of its own with the client's options, by `duplicate()`;
   *   the client itself is left alone
   * - a function that makes the clients of the broker, such as `(options) => new Redis({ host: 'redis', ...options })`: with a URL, the
   *   options have what it says. Default: `(options) => new Redis(options)`
   *
   * ioredis 6 has one connection for each process, ioredis 5 two.
   */
  client?: RedisOptions | Redis | RedisFactory;
}

/** The checked options, with defaults. */
export interface RedisTarget {
  readonly mode: 'single' | 'sentinel' | 'cluster';
  /** Those of the server, of the Sentinels, or of some nodes of the cluster. */
  readonly addresses: readonly Address[];
  readonly prefix: string;
  readonly client: RedisOptions;
  /** Default: ioredis. */
  readonly create?: RedisFactory;
}

const forms = 'redis://host:port/database, redis+sentinel://host:port,…/name or redis+cluster://host:port,…; rediss… for TLS';
const urlForm =
  /^redis(?<tls>s?)(?:\+(?<mode>sentinel|cluster))?:\/\/(?:(?<credentials>[^@/?]*)@)?(?<hosts>[^@/?]+)(?:\/(?<path>[^/?]*))?(?:\?prefix=(?<prefix>[^&]*))?$/;
const ports = { single: 6379, sentinel: 26379, cluster: 6379 };

/** @throws FeedOptionsError saying what is wrong and what is allowed, without the URL, which may have a password */
export function redisTargetOf(options: string | RedisBrokerOptions): RedisTarget {
  const { url, prefix, client = {} }: RedisBrokerOptions = typeof options === 'string' ? { url: options } : options;
  if (typeof client === 'function') {
    const target = url === undefined ? targetOf(prefix) : targetOfUrl(url, prefix);
    return { ...target, create: client };
  }
  if ('duplicate' in client) {
    checkOptions(client.options ?? {});
    if (url !== undefined) throw new FeedOptionsError('A Redis client knows its server: leave "url" out', 'url');
    if (client.isCluster) throw new FeedOptionsError('For a cluster, give a "url": redis+cluster://host:port,…', 'client');
    return { ...targetOf(prefix), create: (options) => client.duplicate(options) };
  }
  checkOptions(client);
  return targetOfUrl(url ?? '', prefix, client);
}

function checkOptions({ keyPrefix }: RedisOptions): void {
  if (keyPrefix) throw new FeedOptionsError('The Redis client cannot have a keyPrefix: give the broker a "prefix"', 'client');
}

/** The server that the client knows. */
function targetOf(prefix = 'nestjs-feed'): RedisTarget {
  return { mode: 'single', addresses: [], prefix: checkPrefix(prefix), client: {} };
}

function checkPrefix(prefix: string): string {
  if (/^[\w.:-]{1,100}$/.test(prefix)) return prefix;
  throw new FeedOptionsError('The prefix must be 1 to 100 characters out of A-Z a-z 0-9 _ . : -', 'prefix');
}

function targetOfUrl(url: string, given: string | undefined, client: RedisOptions = {}): RedisTarget {
  const parts = urlForm.exec(url)?.groups;
  if (!parts) throw new FeedOptionsError(`The URL of Redis must be ${forms}. A prefix may follow: ?prefix=orders`, 'url');
  const { tls, mode: kind = 'single', credentials = '', hosts = '', path = '', prefix: queried } = parts;
  const mode = kind as RedisTarget['mode'];
  const prefix = checkPrefix(given ?? (queried === undefined ? 'nestjs-feed' : decode(queried)));
  const addresses = hosts.split(',').flatMap((host) => addressOf(host, ports[mode]) ?? []);
  if (addresses.length < hosts.split(',').length) throw new FeedOptionsError(`The URL of Redis must be ${forms}.`, 'url');
  if (mode === 'single' && addresses.length > 1) {
    throw new FeedOptionsError(
      'redis:// has one host: several are Sentinels (redis+sentinel://) or nodes of a cluster (redis+cluster://)',
      'url',
    );
  }
  const colon = credentials.indexOf(':');
  const [username, password] = colon < 0 ? ['', credentials] : [credentials.slice(0, colon), credentials.slice(colon + 1)];
  return {
    mode,
    prefix,
    addresses,
    client: {
      ...(username && { username: decode(username) }),
      ...(password && { password: decode(password) }),
      ...(tls && { tls: {}, ...(mode === 'sentinel' && { enableTLSForSentinelMode: true, sentinelTLS: client.tls ?? {} }) }),
      ...pathOf(mode, decode(path)),
      ...client,
    },
  };
}

/** The meaning of the path: a database, the name of a master, or nothing. */
function pathOf(mode: RedisTarget['mode'], path: string): RedisOptions {
  if (mode === 'sentinel') {
    if (!path)
      throw new FeedOptionsError('The URL of Sentinels must end with the name of a master: redis+sentinel://host:port,…/name', 'url');
    return { name: path };
  }
  if (!path) return {};
  if (mode === 'cluster') throw new FeedOptionsError('A Redis cluster has no databases: the URL must end with its hosts.', 'url');
  if (!/^\d{1,5}$/.test(path)) throw new FeedOptionsError(`The database of Redis is a number: ${forms}.`, 'url');
  return { db: Number(path) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new FeedOptionsError('The URL of Redis has a % that is not part of an encoded character: write %25.', 'url');
  }
}
