import type { Redis } from 'ioredis';
import { Redis as Redis5 } from 'ioredis-5';
import type { Broker, HistoryBounds } from '../../src/feed/broker/broker.js';
import { MemoryBroker } from '../../src/feed/broker/memory/memory-broker.js';
import { natsBroker } from '../../src/feed/broker/nats/index.js';
import { type RedisFactory, redisBroker } from '../../src/feed/broker/redis/index.js';
import { RuleSet } from '../../src/feed/pubsub/rules.js';
import { Engine, type EngineKind, missing } from '../../tools/engines.mjs';
import { Link } from '../../tools/link.mjs';
import { Node } from './broker-node.js';
import { atEnd } from './ends.js';

export const roomy: HistoryBounds = {
  historyLength: 1000,
  historyTtlMs: 60_000,
  historyBytes: 1e6,
  historyTotalBytes: 1e8,
  idempotencyMs: 60_000,
};

/** Has a broker use ioredis 5, which speaks RESP 2. */
export const ioredis5: RedisFactory = (options) => new Redis5(options as object) as unknown as Redis;

/** How a broker is put to the test. */
export interface BrokerKind {
  readonly name: 'memory' | 'redis' | 'nats';
  /** The client library, where there are several. */
  readonly client?: string;
  /** The kind of its engine. Default: its name. */
  readonly engine?: EngineKind;
  /** Makes a broker of one node; `port` leads to the engine. */
  make(port: number, bounds: HistoryBounds, prefix?: string): Promise<Broker>;
}

const log = () => {};

const kinds: BrokerKind[] = [
  { name: 'memory', make: async (_port, bounds) => new MemoryBroker(bounds) },
  {
    name: 'redis',
    make: async (port, bounds, prefix = 'a') => redisBroker(`redis://127.0.0.1:${port}?prefix=${prefix}`)({ ...bounds, log }),
  },
  { name: 'nats', make: async (port, bounds, prefix = 'a') => natsBroker(`nats://127.0.0.1:${port}?prefix=${prefix}`)({ ...bounds, log }) },
];
// It sends the same commands, and has its own way with replies and connections: `npm run test:all` puts it to the test as well.
if (process.env.REDIS_CLIENTS === 'all')
  kinds.push({
    name: 'redis',
    client: 'ioredis 5',
    make: async (port, bounds, prefix = 'a') =>
      redisBroker({ url: `redis://127.0.0.1:${port}`, prefix, client: ioredis5 })({ ...bounds, log }),
  });
const nats = kinds.find(({ name }) => name === 'nats') as BrokerKind;
/** What Debian has is NATS 2.9. From 2.11 on, messages may have a time to live of their own: here all have, since some feeds' stay. */
const nats211: BrokerKind = {
  ...nats,
  engine: 'nats-2.11',
  make: (port, bounds, prefix) =>
    nats.make(port, { retention: new RuleSet({ 'kept/*': { keepNewest: true } }, bounds).retention, ...bounds }, prefix),
};

/** Has the suites that follow run on NATS 2.11 or later, instead of on all brokers. */
export function onlyNats211(): void {
  kinds.splice(0, kinds.length, nats211);
}

/** A suite for each broker; one whose engine is not on this machine is left out, as `tools/engines.mjs` says, which runs before the tests. */
export function describeBrokers(title: string, body: (kind: BrokerKind) => void, some = kinds): void {
  const left = missing();
  for (const kind of some) {
    const { name, client, engine = name } = kind;
    const suite = left.includes(engine.replace(name, `${name}-server`)) ? describe.skip : describe;
    suite(`${title} ${engine.replace('-', ' ')}${client ? ` by ${client}` : ''}`, () => body(kind));
  }
}

/** As `describeBrokers()`, for those that carry messages between processes. */
export function describeSharedBrokers(title: string, body: (kind: BrokerKind) => void): void {
  const shared = kinds.filter(({ name }) => name !== 'memory');
  describeBrokers(title, body, shared);
}

/** As `describeBrokers()`, with NATS in both versions. */
export function describeServers(title: string, body: (kind: BrokerKind) => void): void {
  describeBrokers(title, body, [...kinds, nats211]);
}

/** An engine, which ends with the test. */
export async function startEngine(kind: EngineKind, ...more: string[]): Promise<Engine> {
  const engine = await Engine.start(kind, ...more);
  atEnd(() => engine.stop());
  return engine;
}

/** An engine for a kind of broker; memory has none. */
export async function engineOf({ name, engine }: BrokerKind): Promise<Engine | undefined> {
  return name === 'memory' ? undefined : startEngine(engine ?? name);
}

/** A path of its own to an engine. */
export async function linkTo({ port }: Engine): Promise<Link> {
  const link = await Link.to(port);
  atEnd(() => link.close());
  return link;
}

/** A node with this broker, which is closed with the test. */
export function nodeOf(broker: Broker): Node {
  atEnd(() => broker.close());
  return new Node(broker);
}
