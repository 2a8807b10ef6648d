import type { RedisOptions } from 'ioredis';
import { FeedOptionsError } from '../../errors/feed-options.error.js';

/** Where Redis, or Valkey, is, and how this application's keys are named there. */
export interface RedisBrokerOptions {
  /**
   * - `redis://[user:password@]host[:port][/database]`, or `rediss://…` with TLS
   * - `redis+sentinel://[user:password@]host[:port],…/name`: the master of that name, as these Sentinels know it
   * - `redis+cluster://[user:password@]host[:port],…`: a cluster, found through any of these nodes
   *
   * TLS for those, too: `rediss+sentinel://…`, `rediss+cluster://…`; Sentinels are then asked over TLS as well. User and password are those
   * of Redis; where Sentinels want some of their own: `client: { sentinelUsername, sentinelPassword }`.
   */
  url: string;
  /**
   * What the names of keys and channels begin with. Feeds of another prefix are other feeds. All of one prefix are in one hash slot, so
   * that their messages have one order: on a cluster they are on one of its shards. Default: `nestjs-feed`.
   */
  prefix?: string;
  /** Further options of ioredis, such as `tls`, for each connection; no `keyPrefix`, instead of which there is `prefix`. */
  client?: RedisOptions;
}

/** An address of a server. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** The options, taken apart. */
export interface RedisTarget {
  readonly mode: 'single' | 'sentinel' | 'cluster';
  /** Of the server, the Sentinels, or some of the cluster's nodes. */
  readonly addresses: readonly Address[];
  readonly prefix: string;
  readonly client: RedisOptions;
}

const forms = 'redis://host:port/database, redis+sentinel://host:port,…/name or redis+cluster://host:port,…; rediss… for TLS';
const ports = { single: 6379, sentinel: 26379, cluster: 6379 };

/** @throws FeedOptionsError saying what is wrong and what is allowed; it does not tell the URL, which may have a password */
export function redisTargetOf(options: string | RedisBrokerOptions): RedisTarget {
  const { url, prefix: given, client = {} }: RedisBrokerOptions = typeof options === 'string' ? { url: options } : options;
  const parts = /^redis(s?)(?:\+(sentinel|cluster))?:\/\/(?:([^@/?]*)@)?([^@/?]+)(?:\/([^/?]*))?(?:\?prefix=([^&]*))?$/.exec(url);
  if (!parts) throw new FeedOptionsError(`The URL of Redis must be ${forms}. A prefix may follow: ?prefix=orders`, 'url');
  const [, tls, mode = 'single', credentials = '', hosts = '', path = '', queried] = parts as unknown as [
    string,
    string,
    RedisTarget['mode'],
    string,
    string,
    string,
    string?,
  ];
  if (client.keyPrefix) throw new FeedOptionsError('The client of Redis cannot have a keyPrefix: give the broker a "prefix"', 'client');
  const prefix = given ?? (queried === undefined ? 'nestjs-feed' : decode(queried));
  if (!/^[\w.:-]{1,100}$/.test(prefix))
    throw new FeedOptionsError('The prefix must be 1 to 100 characters out of A-Z a-z 0-9 _ . : -', 'prefix');
  const addresses = hosts.split(',').map((host) => addressOf(host, ports[mode]));
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

function addressOf(text: string, defaultPort: number): Address {
  const parts = /^(?:\[([\da-f:.]+)\]|([\w.-]+))(?::(\d{1,5}))?$/i.exec(text);
  const port = Number(parts?.[3] ?? defaultPort);
  if (!parts || port > 65_535) throw new FeedOptionsError(`The URL of Redis must be ${forms}.`, 'url');
  return { host: (parts[1] ?? parts[2]) as string, port };
}

/** What the path says: a database, the name of a master, or nothing. */
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
    throw new FeedOptionsError('The URL of Redis has a % that begins no character: write %25.', 'url');
  }
}
