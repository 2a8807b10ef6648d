import type { Broker, HistoryBounds } from '../../src/feed/broker/broker.js';
import { MemoryBroker } from '../../src/feed/broker/memory.broker.js';
import { natsBroker } from '../../src/feed/broker/nats/index.js';
import { redisBroker } from '../../src/feed/broker/redis/index.js';
import { Engine, missing } from '../../tools/engines.mjs';

export const roomy: HistoryBounds = { historyLength: 1000, historyTtlMs: 60_000, historyBytes: 1e6, historyTotalBytes: 1e8 };

/** How a broker is put to the test. */
export interface BrokerKind {
  readonly name: 'memory' | 'redis' | 'nats';
  /** Makes a broker of one node; `port` leads to the engine. */
  make(port: number, bounds: HistoryBounds): Promise<Broker>;
}

const kinds: BrokerKind[] = [
  { name: 'memory', make: async (_port, bounds) => new MemoryBroker(bounds) },
  { name: 'redis', make: async (port, bounds) => redisBroker(`redis://127.0.0.1:${port}`)({ ...bounds, log: () => {} }) },
  { name: 'nats', make: async (port, bounds) => natsBroker(`nats://127.0.0.1:${port}`)({ ...bounds, log: () => {} }) },
];

/** All brokers whose engine is on this machine; `tools/engines.mjs`, which the test command runs first, says what is not. */
export const brokers = kinds.filter(({ name }) => !missing().includes(`${name}-server`));

/** Those whose messages are carried between processes. */
export const sharedBrokers = brokers.filter(({ name }) => name !== 'memory');

/** An engine for a kind of broker; memory has none. */
export async function engineOf({ name }: BrokerKind): Promise<Engine | undefined> {
  return name === 'memory' ? undefined : Engine.start(name);
}
