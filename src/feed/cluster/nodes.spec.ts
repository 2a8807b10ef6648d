import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Broker, MessageSink } from '../broker/broker.js';
import { MemoryBroker } from '../broker/memory/memory-broker.js';
import { BrokerUnavailableError } from '../errors/broker.errors.js';
import { type FeedCounts, sumOf } from '../stats/counts.js';
import { Nodes, nodesFeed } from './nodes.js';

const countsOf = (open: number): FeedCounts => ({ ...sumOf([]), open });

/** A server in this process: each broker on it gets what any of them publishes. */
class Bus {
  private readonly sinks = new Set<MessageSink>();
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
        for (const sink of this.sinks) sink.next(published);
        return published;
      },
      subscribe: (feed: string, sink: MessageSink) => {
        subscriptions.set(feed, sink);
        this.sinks.add(sink);
      },
      unsubscribe: (feed: string) => {
        const sink = subscriptions.get(feed);
        if (sink) this.sinks.delete(sink);
      },
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
  const nodeOn = (bus: Bus, name: string, open: () => number, period = 60_000) => {
    const warn = (message: string) => warnings.push(message);
    const node = new Nodes(bus.broker(), name, () => countsOf(open()), warn, period);
    started.push(node);
    node.start();
    return node;
  };
  const seenBy = (node: Nodes) => node.all().map(({ name, open }) => `${name} ${open}`);
  afterEach(() => Promise.all(started.splice(0).map((node) => node.stop())));

  it('know at once of a node that starts, and of one that leaves', async () => {
    const bus = new Bus();
    const a = nodeOn(bus, 'a', () => 1);
    nodeOn(bus, 'c', () => 3);
    const b = nodeOn(bus, 'b', () => 2);
    await until(() => a.all().length === 3);
    expect(seenBy(a)).toEqual(['a 1', 'b 2', 'c 3']);
    expect(a.all()[1]).toEqual({ name: 'b', ...countsOf(2) });
    await b.stop();
    expect(seenBy(a)).toEqual(['a 1', 'c 3']);
  });

  it('announce their counts every period, and forget a node that does not', async () => {
    const bus = new Bus();
    let open = 0;
    const a = nodeOn(bus, 'a', () => 1, 20);
    const b = nodeOn(bus, 'b', () => open, 20);
    await until(() => seenBy(a).includes('b 0') && seenBy(b).includes('a 1'));
    open = 7;
    await until(() => seenBy(a).includes('b 7'));
    bus.isUnavailable = true;
    await until(() => seenBy(a).length === 1);
    bus.isUnavailable = false;
    await until(() => seenBy(a).includes('b 7'));
  });

  it('are distinguished where they have the same name', async () => {
    const bus = new Bus();
    const a = nodeOn(bus, 'same', () => 1);
    nodeOn(bus, 'same', () => 2);
    await until(() => a.all().length === 2);
    expect(seenBy(a)).toEqual(['same 1', 'same 2']);
  });

  /** A node that gets an announcement from elsewhere. */
  const announcedTo = async (text: string) => {
    const bus = new Bus();
    const a = nodeOn(bus, 'a', () => 1);
    await bus.broker().publish(nodesFeed, { type: undefined, text, isJson: true });
    return a;
  };

  it.each([
    ...['', 'x', 'null', '[]', '{"id":1}', '{"id":"1","node":null}', '{"id":"1","node":{"open":1}}'],
    ...['{"open":"2"}', '{"open":-1}', '{"open":1e999}', '{"rejectedBy":1}', '{"closed":{"client":null}}', '{"limit":"none"}'].map(
      (counts) => `{"id":"1","node":{"name":"b",${counts.slice(1)}}`,
    ),
  ])('ignore what is not an announcement: %s', async (text) => {
    expect(seenBy(await announcedTo(text))).toEqual(['a 1']);
    expect(warnings).toHaveLength(1);
  });

  it('count a node of another version, whose counts are not the same', async () => {
    const a = await announcedTo('{"id":"1","node":{"name":"b","open":2,"rejectedBy":{"limit":3,"new":1},"new":{}},"version":2}');
    expect(a.all()[1]).toEqual({ name: 'b', ...countsOf(2), rejectedBy: { ...countsOf(0).rejectedBy, limit: 3 }, limit: null });
    expect(sumOf(a.all())).toMatchObject({ open: 3, rejectedBy: { limit: 3 }, closed: { client: 0 }, limit: null });
  });

  it('announce nothing where the broker is this process only', async () => {
    const bus = new Bus();
    const node = new Nodes(
      bus.broker('memory'),
      'alone',
      () => countsOf(1),
      () => {},
      1,
    );
    node.start();
    await once(AbortSignal.timeout(5), 'abort');
    await node.stop();
    expect(bus.published).toBe(0);
    expect(seenBy(node)).toEqual(['alone 1']);
  });
});
