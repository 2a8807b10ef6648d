import { createHash } from 'node:crypto';
import { Redis } from 'ioredis';
import type { Engine } from '../../tools/engines.mjs';
import { atEnd } from './ends.js';
import { until } from './until.js';

/** A plain client, to do to Redis what brokers must live with. It ends with the test. */
export function clientOf({ port }: Engine): Redis {
  const redis = new Redis({ port, host: '127.0.0.1' });
  redis.on('error', () => {});
  atEnd(() => redis.disconnect());
  return redis;
}

const writtenBytes = async (redis: Redis) => Number(/master_repl_offset:(\d+)/.exec(await redis.info('replication'))?.[1]);

/** Waits until a replica has all that its master has now. `WAIT` would look only at what its own client has written. */
export async function replicated(master: Engine, replica: Engine): Promise<void> {
  const [from, to] = [clientOf(master), clientOf(replica)];
  const written = await writtenBytes(from);
  await until(async () => (await writtenBytes(to)) >= written);
}

const slotOf = (feed: string) => createHash('sha1').update(feed).digest().readUInt16BE(0);

/** Another feed whose marks are kept in the same place. */
export function neighbourOf(feed: string): string {
  for (let n = 0; ; n += 1) if (slotOf(`n${n}`) === slotOf(feed)) return `n${n}`;
}
