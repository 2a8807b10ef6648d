import { Redis, type RedisOptions } from 'ioredis';
import { type Address, shuffled } from '../address.js';
import type { RedisFactory, RedisTarget } from './redis.options.js';

/** How long a connection may take to open, including the first commands, in milliseconds. */
const openMs = 5000;
/** How long a Sentinel may take to answer, in milliseconds. */
const sentinelMs = 1000;

/** The options of a connection that never reconnects, and whose replies are as the scripts give them. */
const once: RedisOptions = {
  protocol: 3,
  lazyConnect: true,
  connectTimeout: openMs,
  sentinelCommandTimeout: sentinelMs,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResubscribe: false,
  retryStrategy: () => null,
  sentinelRetryStrategy: () => null,
  reconnectOnError: null,
  stringNumbers: false,
  replyMapping: 'legacy',
};

const ownClient: RedisFactory = (options) => new Redis(options);

/** A client, not yet connected, for the server that has the feeds at this moment. */
export async function clientOf(target: RedisTarget, signal: AbortSignal): Promise<Redis> {
  const { mode, addresses, client, create = ownClient } = target;
  const options = { ...client, ...once };
  if (mode === 'single') return create({ ...options, ...addresses[0] });
  if (mode === 'sentinel') return create({ ...options, sentinels: shuffled(addresses) });
  return create({ ...options, ...(await ownerOf(target, signal)) });
}

/** Does the work that opens a connection, with a time limit: a server that has been halted accepts connections and never answers. */
export async function withTimeLimit<T>(signal: AbortSignal, abort: () => void, work: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const limit = AbortSignal.timeout(openMs);
  const either = AbortSignal.any([signal, limit]);
  either.addEventListener('abort', abort);
  try {
    return await work();
  } catch (error) {
    throw limit.aborted ? new Error(`no answer for ${openMs} ms`, { cause: error }) : error;
  } finally {
    either.removeEventListener('abort', abort);
  }
}

export function disconnect(redis: Redis): void {
  if (redis.status === 'end') return; // ioredis would wait for the end that has been
  redis.disconnect();
  redis.stream?.destroy(); // otherwise it waits for the server to close its side, which may take for ever
}

/** Whether the server that has the feeds at this moment answers on a connection of its own. */
export async function isAnswering(target: RedisTarget, signal: AbortSignal): Promise<boolean> {
  let redis: Redis | undefined;
  const ask = async () => {
    redis = await clientOf(target, signal);
    redis.on('error', () => {}); // connect() fails with it
    await redis.connect();
    return redis.ping();
  };
  try {
    await withTimeLimit(signal, () => redis && disconnect(redis), ask);
    return true;
  } catch {
    return false;
  } finally {
    if (redis) disconnect(redis);
  }
}

/** The node of the cluster that has the prefix's hash slot. */
async function ownerOf({ addresses, prefix, client, create = ownClient }: RedisTarget, signal: AbortSignal): Promise<Address> {
  let failure: unknown;
  for (const address of shuffled(addresses)) {
    const redis = create({ ...client, ...once, ...address });
    redis.on('error', (error) => {
      failure = error;
    });
    try {
      const ask = async () => {
        await redis.connect();
        return Promise.all([redis.cluster('KEYSLOT', prefix), redis.cluster('SLOTS')]);
      };
      const [slot, ranges] = await withTimeLimit(signal, () => disconnect(redis), ask);
      const range = ranges.find(([first, last]) => first <= slot && slot <= last);
      if (!range) throw new Error(`no node of the cluster has hash slot ${slot}`);
      // A node that does not know its own address means the one at which it was reached.
      const [host, port] = range[2];
      return { host: host || address.host, port };
    } catch (error) {
      failure ??= error;
    } finally {
      disconnect(redis);
    }
  }
  throw failure;
}
