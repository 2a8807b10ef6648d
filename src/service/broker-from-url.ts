import type { BrokerFactory } from '../feed/broker/broker.js';
import { FeedOptionsError } from '../feed/errors/feed-options.error.js';
import { ConfigError } from './config.js';

/** The brokers by the scheme of their URL, and the packages that each needs. Each is imported only when it is configured. */
const brokers = [
  {
    scheme: /^redis/,
    packages: 'ioredis',
    load: async (url: string) => (await import('../feed/broker/redis/index.js')).redisBroker(url),
  },
  {
    scheme: /^(nats|tls):/,
    packages: '@nats-io/transport-node @nats-io/jetstream',
    load: async (url: string) => (await import('../feed/broker/nats/index.js')).natsBroker(url),
  },
];

/**
 * Makes the broker's factory.
 *
 * @param url `memory`, or the broker's URL
 * @returns undefined for memory, the module's default
 * @throws ConfigError naming FEED_BROKER, with what is wrong with the URL, or which package is missing
 */
export async function brokerFromUrl(url: string): Promise<BrokerFactory | undefined> {
  const broker = brokers.find(({ scheme }) => scheme.test(url));
  try {
    return await broker?.load(url);
  } catch (error) {
    if (error instanceof FeedOptionsError) throw new ConfigError('FEED_BROKER', `is invalid: ${error.message}`);
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new ConfigError('FEED_BROKER', `needs a client that is not installed: npm install ${broker?.packages}`);
  }
}
