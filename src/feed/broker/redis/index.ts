import type { BrokerFactory } from '../broker.js';
import { type RedisBrokerOptions, redisTargetOf } from './redis.options.js';
import { RedisBroker } from './redis-broker.js';

export type { RedisBrokerOptions, RedisFactory } from './redis.options.js';

/**
 * Carries feeds between processes with Redis 7 or Valkey: a single server, one behind Sentinels, or a cluster. Needs `ioredis`, 5.3 or later.
 *
 * All processes of an application must have the same prefix and the same history options.
 *
 * @param options a URL, see `RedisBrokerOptions.url`, or options
 * @throws FeedOptionsError when an option is wrong
 */
export function redisBroker(options: string | RedisBrokerOptions): BrokerFactory {
  const target = redisTargetOf(options);
  return (context) => new RedisBroker(target, context).start();
}
