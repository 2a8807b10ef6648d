import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Broker, MessageSink } from '../broker/broker.js';
import { MemoryBroker } from '../broker/memory/memory-broker.js';
import { BrokerUnavailableError } from '../errors/broker.errors.js';
import { Nodes, nodesFeed } from './nodes.js';

/** A server in this process: each broker on it gets what any of them publishes. */
class Bus {
  private readonly sinks = new Set<Map<string, MessageSink>>();
  private readonly listeners = new Map<string, (text: string) => void>();
  /** The types of the messages on the feed of all nodes. */
  readonly told: (string | undefined)[] = [];
  /** The names of the nodes that are cut off, and of those whose signals do not arrive. */
  readonly cut = new Set<string>();
  readonly unheard = new Set<string>();
  /** The names of the nodes whose last message the server has rejected. */
  readonly rejected = new Set<string>();
  published = 0;
  isUnavailable = false;

  /** @param node where it has signals, the name of its node */
  broker(name = 'bus', node?: string): Broker {
    const bounds = { historyLength: 0, historyTtlMs: 1, historyBytes: 0, historyTotalBytes: 0, idempotencyMs: 1 };
    const log = new MemoryBroker(bounds);
    const subscriptions = new Map<string, MessageSink>();
    const isCut = () => node !== undefined && this.cut.has(node);
    const broker = Object.assign(Object.create(log) as Broker, {
      name,
      publish: async (...message: Parameters<Broker['publish']>) => {
        this.published += 1;
        if (this.isUnavailable || isCut()) throw new BrokerUnavailableError('unavailable');
        const published = await log.publish(...message);
        if (published.feed === nodesFeed) this.told.push(published.type);
        for (const sinks of this.sinks) sinks.get(published.feed)?.next(published);
        return published;
      },
      ...(node !== undefined && {
        signal: (to: string, text: string) => {
          if (!isCut() && !this.unheard.has(node)) setImmediate(() => this.listeners.get(to)?.(text));
        },
        listen: (id: string, hear: (text: string) => void) => this.listeners.set(id, (text) => isCut() || hear(text)),
      }),
      subscribe: (feed: string, sink: MessageSink) => {
        subscriptions.set(feed, { next: (message) => isCut() || sink.next(message), lost: () => sink.lost(undefined) });
        this.sinks.add(subscriptions);
      },
      unsubscribe: (feed: string) => subscriptions.delete(feed),
    });
    return Object.defineProperty(broker, 'unavailableSince', { get: () => (this.rejected.has(node ?? '') ? 1 : undefined) });
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

  it('ignore on a roll what is no node', async () => {
    const bus = new Bus();
    const a = nodeOn(bus, 'a');
    const junk = [null, 1, 'x', [], {}, { id: 1, node: 'n' }, { id: 'a/b', node: 'n' }, { id: 'b', node: '' }, { id: 'c', node: 'c' }];
    for (const present of [undefined, {}, 'x', junk]) {
      await bus.broker().publish(nodesFeed, { type: 'roll', text: JSON.stringify({ id: 'other', node: 'b', present }), isJson: true });
    }
    expect(othersOf(a)).toEqual(['b', 'c']);
  });

  describe.each([true, false])('where there are many, and the broker has signals: %s', (hasSignals) => {
    /** Nodes that know each other, and what each has lost. */
    const many = async (bus: Bus, count = 9) => {
      const nodes = Array.from({ length: count }, (_, n) => {
        const node = new Nodes(bus.broker('bus', hasSignals ? `n${n}` : undefined), `n${n}`, (message) => warnings.push(message), 10);
        started.push(node);
        node.start();
        return node;
      });
      await until(() => nodes.every((node) => node.others().length === count - 1));
      const lost = nodes.map((node) => {
        const names: string[] = [];
        node.listen({ onGone: ({ name }, isLost) => names.push(isLost ? name : `left: ${name}`) });
        return names;
      });
      return { nodes, lost };
    };
    /** Waits until as many messages to all as there are nodes have been rolls, one after the other. */
    const onlyRolls = (bus: Bus) => until(() => bus.told.slice(-9).every((type) => type === 'roll') && bus.told.length > 9);

    it('are heard by one of them, which calls the roll', async () => {
      const bus = new Bus();
      const { nodes, lost } = await many(bus);
      await onlyRolls(bus);
      const { length } = bus.told;
      await until(() => bus.told.length > length + 30);
      expect(lost.flat()).toEqual([]);
      const late = nodeOn(bus, 'late', 10);
      await until(() => late.others().length === 9 && nodes.every((node) => node.others().length === 9));
      await late.stop();
      expect(lost).toEqual(nodes.map(() => ['left: late']));
      await onlyRolls(bus);
    });

    it('go on without the one that calls the roll, and lose it alone', async () => {
      const bus = new Bus();
      const { nodes, lost } = await many(bus);
      await onlyRolls(bus);
      const [first] = nodes.toSorted((a, b) => (a.id < b.id ? -1 : 1));
      const name = first?.name as string;
      if (hasSignals) bus.cut.add(name);
      else void first?.stop().then(() => {});
      const rest = lost.filter((_, n) => nodes[n] !== first);
      await until(() => rest.every((names) => names.length > 0));
      expect(rest).toEqual(rest.map(() => [hasSignals ? name : `left: ${name}`]));
      bus.told.length = 0;
      await onlyRolls(bus);
      expect(rest.flat()).toHaveLength(8);
    });

    it('do not meet one again that has left, by a roll that was called before', async () => {
      const bus = new Bus();
      const { nodes, lost } = await many(bus);
      const [a, b] = nodes as [Nodes, Nodes];
      await b.stop();
      const text = JSON.stringify({ id: a.id, node: a.name, present: nodes.map(({ id, name }) => ({ id, node: name })) });
      await bus.broker().publish(nodesFeed, { type: 'roll', text, isJson: true });
      expect(a.has(b.id)).toBe(false);
      bus.told.length = 0;
      await onlyRolls(bus);
      expect(lost.filter((_, n) => nodes[n] !== b)).toEqual(Array.from({ length: 8 }, () => ['left: n1']));
    });

    if (!hasSignals) return;

    it.each([
      [5, 4],
      [9, 4],
      [9, 5],
      [20, 6],
      [40, 3],
    ])('of %i that become %i, lose those alone that have crashed', async (count, rest) => {
      const bus = new Bus();
      const { nodes, lost } = await many(bus, count);
      await onlyRolls(bus);
      const sorted = nodes.toSorted((a, b) => (a.id < b.id ? -1 : 1));
      for (const { name } of sorted.slice(rest)) bus.cut.add(name);
      const left = sorted.slice(0, rest);
      await until(() => left.every((node) => node.others().length === rest - 1));
      const { length } = bus.told;
      await until(() => bus.told.length > length + 40);
      const crashed = [...bus.cut].sort();
      for (const node of left) expect([...(lost[nodes.indexOf(node)] as string[])].sort()).toEqual(crashed);
    });

    it('of many that leave, lose none that stays, nor one that starts then', async () => {
      const bus = new Bus();
      const { nodes } = await many(bus, 40);
      await onlyRolls(bus);
      const rest = nodes.slice(0, 3);
      await Promise.all(nodes.slice(3).map((node) => node.stop()));
      const gone: string[] = [];
      const late = nodeOn(bus, 'late', 10);
      for (const node of [...rest, late]) node.listen({ onGone: ({ name }) => gone.push(`${node.name}: ${name}`) });
      await until(() => [...rest, late].every((node) => node.others().length === 3));
      const { length } = bus.told;
      await until(() => bus.told.length > length + 60);
      expect(gone).toEqual([]);
    });

    it('send theirs to all while the server seems to reject it', async () => {
      const bus = new Bus();
      await many(bus);
      await onlyRolls(bus);
      bus.rejected.add('n4').add('n5');
      bus.told.length = 0;
      await until(() => bus.told.filter((type) => type === 'heartbeat').length >= 10);
      bus.rejected.clear();
      await onlyRolls(bus);
    });

    it('lose one that is cut off, and meet it again', async () => {
      const bus = new Bus();
      const { nodes, lost } = await many(bus);
      bus.cut.add('n4');
      const rest = nodes.filter(({ name }) => name !== 'n4');
      await until(() => rest.every((node) => node.others().length === 7));
      bus.cut.delete('n4');
      await until(() => rest.every((node) => node.others().length === 8));
      expect(lost).toEqual(nodes.map(({ name }) => (name === 'n4' ? [] : ['n4'])));
    });

    it('lose none whose signals do not arrive', async () => {
      const bus = new Bus();
      bus.unheard.add('n4').add('n5');
      const { lost } = await many(bus);
      const rolls = () => bus.told.filter((type) => type === 'roll').length;
      const before = rolls();
      await until(() => rolls() > before + 30);
      expect(lost.flat()).toEqual([]);
    });

    it('lose none while the server is unavailable', async () => {
      const bus = new Bus();
      const { lost } = await many(bus);
      bus.isUnavailable = true;
      const { published } = bus;
      await until(() => bus.published > published + 40);
      bus.isUnavailable = false;
      bus.told.length = 0;
      await onlyRolls(bus);
      expect(lost.flat()).toEqual([]);
    });
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
