import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import type { Broker, MessageSink } from '../broker/broker.js';
import { MemoryBroker } from '../broker/memory/memory-broker.js';
import { BrokerUnavailableError } from '../errors/broker.errors.js';
import type { StoredMessage } from '../message/message.js';
import { Nodes } from './nodes.js';
import type { SharedEvent } from './presence-events.js';
import { PresenceTeller } from './presence-teller.js';

const bounds = { historyLength: 0, historyTtlMs: 1, historyBytes: 0, historyTotalBytes: 0, idempotencyMs: 1 };
/** How often nodes send heartbeats here, and how often they look after what is missing, in milliseconds. */
const [periodMs, tickMs] = [10, 15];
/** How long nothing must change until the nodes are taken to have come to a result, in milliseconds. */
const calmMs = 150;

/** A server that all nodes reach, each on a path of its own. */
class Server {
  private readonly log = new MemoryBroker(bounds);
  private readonly paths = new Set<Path>();
  published = 0;

  connect(): Path {
    const path = new Path(this);
    this.paths.add(path);
    return path;
  }

  async publish(...message: Parameters<Broker['publish']>): Promise<StoredMessage> {
    this.published += 1;
    const stored = await this.log.publish(...message);
    for (const path of this.paths) path.deliver(stored);
    return stored;
  }
}

/** A node's way to the server. It may be cut: then what is published arrives when it is mended, or is lost. */
class Path {
  private readonly sinks = new Map<string, MessageSink>();
  private missed: StoredMessage[] | undefined = undefined;
  isDead = false;
  /** The type of the message after whose acknowledgement nothing comes any more, itself included. */
  deafAt: string | undefined = undefined;

  constructor(private readonly server: Server) {}

  get broker(): Broker {
    return Object.create(MemoryBroker.prototype, {
      name: { value: 'path' },
      unavailableSince: { get: () => (this.missed ? 1 : undefined) },
      subscribe: { value: (feed: string, sink: MessageSink) => void this.sinks.set(feed, sink) },
      unsubscribe: { value: (feed: string) => this.sinks.delete(feed) },
      publish: { value: (...message: Parameters<Broker['publish']>) => this.publish(...message) },
    }) as Broker;
  }

  deliver(message: StoredMessage): void {
    if (this.isDead) return;
    if (this.missed) this.missed.push(message);
    else this.sinks.get(message.feed)?.next(message);
  }

  cut(): void {
    this.missed ??= [];
  }

  mend(isLost: boolean): void {
    const { missed = [] } = this;
    this.missed = undefined;
    if (isLost) for (const sink of this.sinks.values()) sink.lost(undefined);
    else for (const message of missed) this.deliver(message);
  }

  private async publish(...message: Parameters<Broker['publish']>): Promise<StoredMessage> {
    if (this.missed || this.isDead) throw new BrokerUnavailableError('cut');
    if (message[1].type === this.deafAt) this.cut();
    const stored = await this.server.publish(...message);
    if (message[1].type === this.deafAt) return stored;
    // It is stored, and its publisher does not know.
    if (this.missed || this.isDead) throw new BrokerUnavailableError('cut meanwhile');
    return stored;
  }
}

interface Told {
  readonly event: SharedEvent;
  readonly by: string;
}

/** Several nodes, and what is true of them. */
class World {
  readonly server = new Server();
  readonly nodes: WorldNode[] = [];
  readonly told: Told[] = [];
  /** What a node told that was lost right after. */
  readonly repeated: Told[] = [];

  add(name: string): WorldNode {
    const node = new WorldNode(this, name);
    this.nodes.push(node);
    return node;
  }

  /** The feeds that connections follow, with their numbers. */
  get truth(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { connections } of this.nodes)
      for (const feeds of connections.values()) for (const feed of feeds) counts[feed] = (counts[feed] ?? 0) + 1;
    return counts;
  }

  /** Whether all nodes know the truth, and have told it. */
  get isSettled(): boolean {
    const truth = sorted(this.truth);
    return this.nodes.every(({ teller: { ledger } }) => {
      const known = [...ledger.occupied()].map((feed) => [feed, ledger.followers(feed)] as const);
      const telling = [...(ledger.telling?.feeds ?? [])].sort();
      return sorted(Object.fromEntries(known)) === truth && JSON.stringify(telling) === JSON.stringify(Object.keys(this.truth).sort());
    });
  }

  async settles(): Promise<void> {
    const giveUpAt = performance.now() + 5000;
    while (!this.isSettled && performance.now() < giveUpAt) await sleep(5);
  }

  async end(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.end()));
  }
}

function sorted(counts: Record<string, number>): string {
  return JSON.stringify(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));
}

class WorldNode {
  readonly path: Path;
  readonly group: Nodes;
  readonly teller: PresenceTeller;
  readonly connections = new Map<number, string[]>();
  private made = 0;

  constructor(
    private readonly world: World,
    readonly name: string,
  ) {
    this.path = world.server.connect();
    const { broker } = this.path;
    this.group = new Nodes(broker, name, () => {}, periodMs);
    const onEvent = (event: SharedEvent) => world.told.push({ event, by: this.group.id });
    const onRepeated = (event: SharedEvent) => world.repeated.push({ event, by: this.group.id });
    const listener = { onEvent, onRepeated, onReturned() {} };
    this.teller = new PresenceTeller(broker, this.group, listener, { batchMs: 3, tickMs });
    this.group.start();
    this.teller.start();
  }

  join(...feeds: string[]): number {
    this.made += 1;
    this.connections.set(this.made, feeds);
    this.note(this.made, feeds);
    return this.made;
  }

  follow(number: number, ...feeds: string[]): void {
    if (!this.connections.has(number)) return;
    this.connections.set(number, feeds);
    this.note(number, feeds);
  }

  leave(number: number): void {
    if (this.connections.delete(number)) this.teller.note(number, undefined);
  }

  private note(number: number, feeds: string[]): void {
    this.teller.note(number, feeds.length > 0 ? { feeds, since: 1, subject: feeds.length > 1 ? 'someone' : undefined } : undefined);
  }

  /** Dies: nothing of it is heard any more. */
  async kill(): Promise<void> {
    this.path.isDead = true;
    this.world.nodes.splice(this.world.nodes.indexOf(this), 1);
    await this.end();
  }

  async end(): Promise<void> {
    await this.teller.stop(0);
    await this.group.stop();
  }
}

/** What is told of a feed, with what is repeated: each event once, in the order in which it happened. */
function toldOf({ told, repeated }: World, feed: string): string[] {
  const byId = new Map<string, SharedEvent>();
  for (const { event } of [...told, ...repeated]) if (event.type !== 'lost' && event.feed === feed) byId.set(event.id, event);
  const version = ({ id }: SharedEvent) => Number(id.split('-')[5]);
  return [...byId.values()].sort((a, b) => version(a) - version(b)).map(({ type }) => type);
}

const alternating = (count: number) => Array.from({ length: count }, (_, n) => (n % 2 === 0 ? 'occupied' : 'vacated'));

describe('presence over nodes', () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });
  afterEach(() => world.end());

  it('is told once, and by the next node when the one that tells is lost', async () => {
    const [a, b, c] = [world.add('a'), world.add('b'), world.add('c')];
    a.join('x');
    const y = b.join('x', 'y');
    c.join('z');
    await world.settles();
    expect(world.told.map(({ event }) => event.type)).toEqual(['occupied', 'occupied', 'occupied']);
    const [{ by }] = world.told as [Told];
    const teller = world.nodes.find(({ group }) => group.id === by) as WorldNode;
    await teller.kill();
    b.leave(y);
    await world.settles();
    expect(world.isSettled).toBe(true);
    const lost = world.told.flatMap(({ event }) => (event.type === 'lost' ? [event.number] : []));
    expect(lost).toEqual([1]);
  });

  it('is the same after messages were lost, and after many feeds were told in many messages', async () => {
    const [a, b] = [world.add('a'), world.add('b')];
    const feeds = Array.from({ length: 3000 }, (_, n) => `a feed with a name that is long enough for many messages/${n}`);
    for (const feed of feeds) a.join(feed);
    await world.settles();
    expect(world.isSettled).toBe(true);
    b.path.cut();
    for (let n = 1; n <= 1000; n += 1) a.leave(n);
    await sleep(20);
    b.path.mend(true);
    const c = world.add('c');
    c.join('own');
    await world.settles();
    expect(world.isSettled).toBe(true);
    expect(world.told).toHaveLength(4001);
  });

  it('is told by the node that told it, also where that has missed its own message', async () => {
    const [a, b] = [world.add('a'), world.add('b')];
    a.join('x');
    await world.settles();
    const [{ by }] = world.told as [Told];
    const teller = a.group.id === by ? a : b;
    teller.path.deafAt = 'told';
    teller.join('y');
    const other = teller === a ? b : a;
    while (!other.teller.ledger.telling?.feeds.has('y')) await sleep(1);
    expect(toldOf(world, 'y')).toEqual([]);
    teller.path.deafAt = undefined;
    teller.path.mend(true);
    await world.settles();
    while (toldOf(world, 'y').length === 0) await sleep(1);
    expect(toldOf(world, 'y')).toEqual(['occupied']);
    expect(world.isSettled).toBe(true);
  });

  it('stays what it is, whatever strangers write there', async () => {
    const a = world.add('a');
    a.join('x');
    await world.settles();
    const id = a.group.id;
    for (const type of ['changes', 'gone', 'told', 'state', 'ask', 'other', undefined]) {
      for (const text of ['', 'x', '[]', '{}', '{"id":1}', `{"id":"${id}","node":7}`, '{"id":"s","node":"s","seq":-1}'])
        await world.server.publish('$presence', { type, text, isJson: true });
    }
    a.join('y');
    await world.settles();
    expect(world.isSettled).toBe(true);
  });

  const feed = fc.constantFrom('p', 'q', 'r', 's');
  const action = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        what: fc.constant('join' as const),
        node: fc.nat(3),
        feeds: fc.uniqueArray(feed, { minLength: 1, maxLength: 3 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        what: fc.constant('follow' as const),
        node: fc.nat(3),
        at: fc.nat(9),
        feeds: fc.uniqueArray(feed, { maxLength: 3 }),
      }),
    },
    { weight: 6, arbitrary: fc.record({ what: fc.constant('leave' as const), node: fc.nat(3), at: fc.nat(9) }) },
    { weight: 2, arbitrary: fc.record({ what: fc.constant('cut' as const), node: fc.nat(3) }) },
    { weight: 3, arbitrary: fc.record({ what: fc.constant('mend' as const), node: fc.nat(3), isLost: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant('kill' as const), node: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant('add' as const) }) },
    { weight: 4, arbitrary: fc.record({ what: fc.constant('wait' as const), ms: fc.constantFrom(1, 5, 20, 90) }) },
  );
  type Action = typeof action extends fc.Arbitrary<infer One> ? One : never;

  async function play(world: World, one: Action): Promise<void> {
    if (one.what === 'wait') {
      await sleep(one.ms);
    } else if (one.what === 'add') {
      if (world.nodes.length < 4) world.add(`n${world.nodes.length}`);
    } else {
      const node = world.nodes[one.node % world.nodes.length] as WorldNode;
      const at = 'at' in one ? ([...node.connections.keys()][one.at % Math.max(1, node.connections.size)] ?? 0) : 0;
      if (one.what === 'join') node.join(...one.feeds);
      else if (one.what === 'follow') node.follow(at, ...one.feeds);
      else if (one.what === 'leave') node.leave(at);
      else if (one.what === 'cut') node.path.cut();
      else if (one.what === 'mend') node.path.mend(one.isLost);
      else if (world.nodes.length > 1) await node.kill();
    }
  }

  it('is what it is on every node, and told once, whatever happens', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 40 }), async (actions) => {
        const world = new World();
        try {
          for (const name of ['a', 'b', 'c']) world.add(name);
          for (const one of actions) await play(world, one);
          for (const { path } of world.nodes) path.mend(false);
          await world.settles();
          await sleep(calmMs);
          await world.settles();
          expect(
            world.nodes.map(({ teller }) =>
              Object.fromEntries([...teller.ledger.occupied()].map((id) => [id, teller.ledger.followers(id)])),
            ),
          ).toEqual(world.nodes.map(() => world.truth));
          expect(world.isSettled).toBe(true);
          const ids = world.told.map(({ event }) => event.id);
          expect(new Set(ids).size).toBe(ids.length);
        } finally {
          await world.end();
        }
      }),
      { numRuns: Number(process.env.RUNS ?? 30), endOnFailure: true },
    );
  });

  it('alternates for each feed, where all nodes have heard of each other before one is lost', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 30 }), async (actions) => {
        const world = new World();
        try {
          for (const name of ['a', 'b', 'c']) world.add(name);
          world.nodes[0]?.join('founded');
          await world.settles();
          for (const one of actions) if (!('isLost' in one && one.isLost)) await play(world, one);
          for (const { path } of world.nodes) path.mend(false);
          await world.settles();
          await sleep(calmMs);
          await world.settles();
          for (const id of ['p', 'q', 'r', 's']) {
            const told = toldOf(world, id);
            expect([id, told]).toEqual([id, alternating(told.length)]);
            expect([id, told.length % 2]).toEqual([id, world.truth[id] === undefined ? 0 : 1]);
          }
        } finally {
          await world.end();
        }
      }),
      { numRuns: Number(process.env.RUNS ?? 30), endOnFailure: true },
    );
  });
});
