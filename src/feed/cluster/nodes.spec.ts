import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Broker, MessageSink } from '../broker/broker.js';
import { MemoryBroker } from '../broker/memory/memory-broker.js';
import { BrokerUnavailableError } from '../errors/broker.errors.js';
import { Nodes, nodesFeed } from './nodes.js';

/** A server in this process: each broker on it gets what any of them publishes. */
class Bus {
  private readonly sinks = new Set<Map<string, MessageSink>>();
  published = 0;
  isUnavailable = false;

  broker(name = 'bus'): Broker {
    const bounds = { historyLength: 0, historyTtlMs: 1, historyBytes: 0, historyTotalBytes: 0, idempotencyMs: 1 };
    const log = new MemoryBroker(bounds);
    const subscriptions = new Map<string, MessageSink>();
    return Object.assign(Object.create(log) as Broker, {
      name,
      publish: async (...message: Parameters<Broker['publish']>) => {
        this.published += 1;
        if (this.isUnavailable) throw new BrokerUnavailableError('unavailable');
        const published = await log.publish(...message);
        for (const sinks of this.sinks) sinks.get(published.feed)?.next(published);
        return published;
      },
      subscribe: (feed: string, sink: MessageSink) => {
        subscriptions.set(feed, sink);
        this.sinks.add(subscriptions);
      },
      unsubscribe: (feed: string) => subscriptions.delete(feed),
    });
  }
}

const until = async (holds: () => boolean) => {
  while (!holds()) await sleep(1);
};

describe('nodes that share a broker', () => {
  const started: Nodes[] = [];
  let warnings: string[] = [];
  beforeEach(() => {
    warnings = [];
  });
  const nodeOn = (bus: Bus, name: string, period = 60_000) => {
    const node = new Nodes(bus.broker(), name, (message) => warnings.push(message), period);
    started.push(node);
    node.start();
    return node;
  };
  const othersOf = (node: Nodes) => node.others().map(({ name }) => name);
  afterEach(() => Promise.all(started.splice(0).map((node) => node.stop())));

  it('know at once of a node that starts, and of one that leaves', async () => {
    const bus = new Bus();
    const a = nodeOn(bus, 'a');
    const c = nodeOn(bus, 'c');
    const b = nodeOn(bus, 'b');
    await until(() => [a, b, c].every((node) => node.others().length === 2));
    expect(othersOf(a)).toEqual(['b', 'c']);
    const gone: [string, boolean][] = [];
    a.listen({ onGone: ({ name }, isLost) => gone.push([name, isLost]) });
    await b.stop();
    expect(othersOf(a)).toEqual(['c']);
    expect(gone).toEqual([['b', false]]);
  });

  it('lose a node that is silent while they hear themselves', async () => {
    const bus = new Bus();
    const a = nodeOn(bus, 'a', 5);
    const silent = nodeOn(bus, 'silent');
    await until(() => a.others().length === 1 && silent.others().length === 1);
    const gone: [string, boolean][] = [];
    a.listen({ onGone: ({ name }, isLost) => gone.push([name, isLost]) });
    await until(() => gone.length === 1);
    expect(gone).toEqual([['silent', true]]);
    await silent.tell('question', {}); // a message is no heartbeat
    expect(othersOf(a)).toEqual([]);
  });

  it('lose no one while the server is unavailable', async () => {
    const bus = new Bus();
    const [a, b] = [nodeOn(bus, 'a', 5), nodeOn(bus, 'b', 5)];
    await until(() => othersOf(a).length === 1 && othersOf(b).length === 1);
    const gone: string[] = [];
    a.listen({ onGone: ({ name }) => gone.push(name) });
    bus.isUnavailable = true;
    const { published } = bus;
    await until(() => bus.published > published + 40);
    bus.isUnavailable = false;
    const again = bus.published;
    await until(() => bus.published > again + 40);
    expect(gone).toEqual([]);
  });

  it('are distinguished where they have the same name', async () => {
    const bus = new Bus();
    const a = nodeOn(bus, 'a');
    nodeOn(bus, 'same');
    nodeOn(bus, 'same');
    await until(() => a.others().length === 2);
    expect(othersOf(a)).toEqual(['same', 'same']);
  });

  it.each([
    ...['', 'x', 'null', '[]', '{"id":1}', '{"id":"1"}', '{"id":"1","node":{"open":1}}', '{"id":"1","node":""}', '{"id":"a/b","node":"b"}'],
    `{"id":"${'1'.repeat(65)}","node":"b"}`,
  ])('ignore what is not a message of a node: %s', async (text) => {
    const bus = new Bus();
    const a = nodeOn(bus, 'a');
    for (const type of ['heartbeat', 'left', 'question', undefined]) await bus.broker().publish(nodesFeed, { type, text, isJson: true });
    expect(othersOf(a)).toEqual([]);
    expect(warnings).toHaveLength(1);
  });

  it('say nothing where the broker is this process only', async () => {
    const bus = new Bus();
    const node = new Nodes(bus.broker('memory'), 'alone', () => {}, 1);
    node.start();
    await once(AbortSignal.timeout(5), 'abort');
    await node.stop();
    expect(bus.published).toBe(0);
    expect(node.others()).toEqual([]);
  });
});
