import { Redis } from 'ioredis';

/** Asks a server of Redis, or a Sentinel, for something. */
export async function ask(port: number, command: string, ...args: (string | number)[]): Promise<unknown> {
  const redis = new Redis({ host: '127.0.0.1', port, lazyConnect: true, retryStrategy: () => null });
  try {
    await redis.connect();
    return await redis.call(command, ...args.map(String));
  } finally {
    redis.disconnect();
  }
}
