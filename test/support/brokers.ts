import type { Broker, HistoryBounds } from '../../src/feed/broker/broker.js';
import { MemoryBroker } from '../../src/feed/broker/memory/memory-broker.js';
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

/** A suite for each broker; one whose engine is not on this machine is left out, as `tools/engines.mjs` says, which runs before the tests. */
export function describeBrokers(title: string, body: (kind: BrokerKind) => void): void {
  describeKinds(kinds, title, body);
}

/** As `describeBrokers()`, for those that carry messages between processes. */
export function describeSharedBrokers(title: string, body: (kind: BrokerKind) => void): void {
  describeKinds(
    kinds.filter(({ name }) => name !== 'memory'),
    title,
    body,
  );
}

function describeKinds(some: BrokerKind[], title: string, body: (kind: BrokerKind) => void): void {
  const left = missing();
  for (const kind of some) (left.includes(`${kind.name}-server`) ? describe.skip : describe)(`${title} ${kind.name}`, () => body(kind));
}

/** An engine for a kind of broker; memory has none. */
export async function engineOf({ name }: BrokerKind): Promise<Engine | undefined> {
  return name === 'memory' ? undefined : Engine.start(name);
}
