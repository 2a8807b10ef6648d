import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { alternating, type Emitted, emittedOf, lastEmitted, World, type WorldNode } from '../../../../test/support/presence-world.js';
import { until } from '../../../../test/support/until.js';

/** How long nothing must change until the result of the nodes is final, in milliseconds. */
const calmMs = 150;

describe('presence over nodes', () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });
  afterEach(() => world.end());

  it('is announced once, and by another node when the announcing one is lost', async () => {
    const [a, b, c] = [world.add('a'), world.add('b'), world.add('c')];
    a.join('x');
    const y = b.join('x', 'y');
    c.join('z');
    await world.settles();
    expect(world.emitted.map(({ event }) => event.type)).toEqual(['occupied', 'occupied', 'occupied']);
    const [{ by }] = world.emitted as [Emitted];
    const announcing = world.nodes.find(({ group }) => group.id === by) as WorldNode;
    await announcing.kill();
    b.leave(y);
    await world.settles();
    expect(world.isSettled).toBe(true);
    const lost = world.emitted.flatMap(({ event }) => (event.type === 'lost' ? [event.number] : []));
    expect(lost).toEqual([1]);
  });

  it('is announced by a node that has not received what it sent before it had subscribed', async () => {
    const a = world.add('a');
    a.join('x');
    await world.settles();
    const b = world.add('b', 1);
    const isKnown = () => b.announcer.ledger.rosters.get(b.group.id)?.isStale === false;
    await until(isKnown);
    await a.kill();
    await world.settles();
    expect(world.isSettled).toBe(true);
    expect(emittedOf(world, 'x')).toEqual(alternating(2));
  });

  it('is the same after messages were lost, and after many feeds were announced in many messages', async () => {
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
    expect(world.emitted).toHaveLength(4001);
  });

  it('is emitted by the node that announced it, also where that has missed its own message', async () => {
    const [a, b] = [world.add('a'), world.add('b')];
    a.join('x');
    await world.settles();
    const [{ by }] = world.emitted as [Emitted];
    const announcing = a.group.id === by ? a : b;
    announcing.path.deafAt = 'told';
    announcing.join('y');
    const other = announcing === a ? b : a;
    await until(() => other.announcer.ledger.announced?.feeds.has('y') ?? false);
    expect(emittedOf(world, 'y')).toEqual([]);
    announcing.path.deafAt = undefined;
    announcing.path.mend(true);
    await world.settles();
    await until(() => emittedOf(world, 'y').length > 0);
    expect(emittedOf(world, 'y')).toEqual(['occupied']);
    expect(world.isSettled).toBe(true);
  });

  it('is not changed by invalid messages on its feed', async () => {
    const a = world.add('a');
    a.join('x');
    await world.settles();
    const id = a.group.id;
    for (const type of ['changes', 'gone', 'told', 'state', 'fork', 'ask', 'other', undefined]) {
      for (const text of ['', 'x', '[]', '{}', '{"id":1}', `{"id":"${id}","node":7}`, '{"id":"s","node":"s","seq":-1}'])
        await world.server.publish('$presence', { type, text, isJson: true });
    }
    const last = { id: 's', node: 's', term: 't', version: Number.MAX_SAFE_INTEGER, teller: 's', begins: true };
    await world.server.publish('$presence', { type: 'state', text: JSON.stringify(last), isJson: true });
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
    { weight: 4, arbitrary: fc.record({ what: fc.constant('wait' as const), ms: fc.constantFrom<number>(1, 5, 20, 90) }) },
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

  it('is correct on every node, and announced once, after any sequence of events', async () => {
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
            world.nodes.map(({ announcer }) =>
              Object.fromEntries([...announcer.ledger.occupied()].map((id) => [id, announcer.ledger.connections(id)])),
            ),
          ).toEqual(world.nodes.map(() => world.truth));
          expect(world.isSettled).toBe(true);
          const ids = world.emitted.map(({ event }) => event.id);
          expect(new Set(ids).size).toBe(ids.length);
        } finally {
          await world.end();
        }
      }),
      { numRuns: Number(process.env.RUNS ?? 30), endOnFailure: true },
    );
  });

  it('alternates for each feed, where all nodes know each other before one is lost', async () => {
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
            const emitted = emittedOf(world, id);
            expect([id, emitted]).toEqual([id, alternating(emitted.length)]);
            expect([id, emitted.length % 2]).toEqual([id, world.truth[id] === undefined ? 0 : 1]);
          }
        } finally {
          await world.end();
        }
      }),
      { numRuns: Number(process.env.RUNS ?? 30), endOnFailure: true },
    );
  });

  it('is announced correctly in the end, after any splits of the engine', async () => {
    const move = fc.record({ what: fc.constant('move' as const), node: fc.nat(3), isAway: fc.boolean() });
    // Until another node announces, and has announced everything.
    const time = fc.record({ what: fc.constant('wait' as const), ms: fc.constant<number>(calmMs) });
    const peaceful = fc.oneof({ weight: 1, arbitrary: move }, { weight: 1, arbitrary: time }, { weight: 4, arbitrary: action });
    await fc.assert(
      fc.asyncProperty(fc.array(peaceful, { maxLength: 40 }), async (actions) => {
        const world = new World();
        try {
          for (const name of ['a', 'b', 'c']) world.add(name);
          for (const one of actions) {
            const node = world.nodes['node' in one ? one.node % world.nodes.length : 0] as WorldNode;
            if (one.what === 'move') node.path.lead(one.isAway ? world.otherServer : world.server);
            else if (one.what !== 'kill') await play(world, one);
          }
          for (const { path } of world.nodes) path.lead(world.server);
          await world.settles();
          await sleep(calmMs);
          await world.settles();
          expect(world.isSettled).toBe(true);
          for (const id of ['p', 'q', 'r', 's']) {
            const isOccupied = world.truth[id] !== undefined;
            const last = lastEmitted(world, id);
            expect([id, last ?? 'vacated']).toEqual([id, isOccupied ? 'occupied' : 'vacated']);
          }
          // That a node is lost has the same id on both sides.
          const ids = world.emitted.flatMap(({ event }) => (event.type === 'lost' ? [] : event.id));
          expect(new Set(ids).size).toBe(ids.length);
        } finally {
          await world.end();
        }
      }),
      { numRuns: Number(process.env.RUNS ?? 30), endOnFailure: true },
    );
  });
});
