import { setTimeout as sleep } from 'node:timers/promises';
import { alternating, emittedOf, lastEmitted, World, type WorldNode } from '../../../../test/support/presence-world.js';
import { until } from '../../../../test/support/until.js';

/** How long nothing must change until the result of the nodes is final, in milliseconds. */
const calmMs = 150;

describe('presence over nodes that were on two sides of a split engine', () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });
  afterEach(() => world.end());

  /** Has a node's side make so many announcements that its state is valid when the sides meet. */
  async function tellMore(node: WorldNode): Promise<void> {
    for (const id of ['p', 'q', 'r', 's', 't', 'u']) {
      const number = node.join(id);
      await until(() => lastEmitted(world, id) === 'occupied');
      node.leave(number);
      await until(() => lastEmitted(world, id) === 'vacated');
    }
  }

  it('is announced correctly once the sides meet, where some nodes announced on their own', async () => {
    const [a, b, c] = [world.add('a'), world.add('b'), world.add('c')];
    const x = a.join('x');
    a.join('both');
    await world.settles();
    for (const { path } of [b, c]) path.lead(world.otherServer);
    a.leave(x);
    await until(() => [a, c].every(({ announcer }) => announcer.ledger.announced?.feeds.has('x') === false));
    c.join('x', 'both');
    const joined = c.join('new', 'x');
    await until(() => lastEmitted(world, 'new') === 'occupied' && lastEmitted(world, 'x') === 'occupied');
    await b.kill();
    await tellMore(a);
    // The only node that is left of that side is not the one that announced.
    c.path.cut();
    c.leave(joined);
    c.path.lead(world.server);
    await world.settles();
    await until(() => lastEmitted(world, 'new') === 'vacated');
    await sleep(calmMs);
    expect(world.isSettled).toBe(true);
    expect(['x', 'new', 'both'].map((id) => lastEmitted(world, id))).toEqual(['occupied', 'vacated', 'occupied']);
    const ids = world.emitted.map(({ event }) => event.id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('is announced once, where a node begins to announce before it has heard of the others that do', async () => {
    const a = world.add('a');
    for (const id of ['x', 'y', 'z']) a.join(id);
    await world.settles();
    const b = world.add('b');
    b.path.lead(world.otherServer);
    await until(() => b.announcer.ledger.announced !== undefined);
    b.path.lead(world.server);
    await world.settles();
    b.join('own');
    await world.settles();
    await sleep(calmMs);
    expect(world.isSettled).toBe(true);
    expect(['x', 'y', 'z', 'own'].map((id) => [id, emittedOf(world, id)])).toEqual(
      ['x', 'y', 'z', 'own'].map((id) => [id, alternating(1)]),
    );
  });

  it('is announced correctly, where the nodes that announced on their own return one after the other', async () => {
    const [a, b, c] = [world.add('a'), world.add('b'), world.add('c')];
    a.join('both');
    await world.settles();
    for (const { path } of [b, c]) path.lead(world.otherServer);
    const first = b.join('first');
    await until(() => lastEmitted(world, 'first') === 'occupied');
    await tellMore(a);
    const announcing = [b, c].find(
      ({ group }) => group.id === world.emitted.findLast(({ event }) => 'feed' in event && event.feed === 'first')?.by,
    );
    const other = announcing === b ? c : b;
    b.leave(first);
    await until(() => lastEmitted(world, 'first') === 'vacated');
    other.path.lead(world.server);
    const second = (announcing as WorldNode).join('second');
    await until(() => lastEmitted(world, 'second') === 'occupied' && other.announcer.ledger.announced?.feeds.has('both') === true);
    (announcing as WorldNode).path.cut();
    (announcing as WorldNode).leave(second);
    (announcing as WorldNode).path.lead(world.server);
    await until(() => lastEmitted(world, 'second') === 'vacated');
    await world.settles();
    expect(world.isSettled).toBe(true);
  });

  it('is announced correctly, where the engine loses the report of a fork', async () => {
    const [a, b] = [world.add('a'), world.add('b')];
    a.join('both');
    await world.settles();
    b.path.lead(world.otherServer);
    const own = b.join('own');
    await until(() => lastEmitted(world, 'own') === 'occupied');
    await tellMore(a);
    b.path.cut();
    b.leave(own);
    world.server.forgets = 'fork';
    b.path.lead(world.server);
    await until(() => world.server.forgotten > 0);
    world.server.forgets = undefined;
    for (const { path } of [a, b]) path.mend(true);
    await until(() => lastEmitted(world, 'own') === 'vacated');
    await world.settles();
    expect(world.isSettled).toBe(true);
  });
});
