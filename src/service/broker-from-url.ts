import { type BrokerFactory, BrokerOptionsError } from '../feed/broker/broker.js';
import { ConfigError } from './config.js';

/** What makes the broker that FEED_BROKER names, and the packages that this needs. Each is loaded only where it is asked for. */
const engines = [
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
 * @param broker `memory`, or the URL of an engine
 * @returns undefined for memory, which the module has by itself
 * @throws ConfigError naming FEED_BROKER: what is wrong with the URL, or which package is missing
 */
export async function brokerOf(broker: string): Promise<BrokerFactory | undefined> {
  const engine = engines.find(({ scheme }) => scheme.test(broker));
  try {
    return await engine?.load(broker);
  } catch (error) {
    if (error instanceof BrokerOptionsError) throw new ConfigError('FEED_BROKER', `is not right: ${error.message}`);
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new ConfigError('FEED_BROKER', `names an engine whose client is not installed: npm install ${engine?.packages}`);
  }
}
