import { createHash } from 'node:crypto';
import { Redis } from 'ioredis';
import type { Engine } from '../../tools/engines.mjs';
import { atEnd } from './ends.js';

/** A plain client, to do to Redis what brokers must live with. It ends with the test. */
export function clientOf({ port }: Engine): Redis {
  const redis = new Redis({ port, host: '127.0.0.1' });
  redis.on('error', () => {});
  atEnd(() => redis.disconnect());
  return redis;
}

const slotOf = (feed: string) => createHash('sha1').update(feed).digest().readUInt16BE(0);

/** Another feed whose marks are kept in the same place. */
export function neighbourOf(feed: string): string {
  for (let n = 0; ; n += 1) if (slotOf(`n${n}`) === slotOf(feed)) return `n${n}`;
}
