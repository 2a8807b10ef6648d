import { setTimeout as sleep } from 'node:timers/promises';
import { alternating, lastTold, toldOf, World, type WorldNode } from '../../../test/support/presence-world.js';
import { until } from '../../../test/support/until.js';

/** How long nothing must change until the nodes are taken to have come to a result, in milliseconds. */
const calmMs = 150;

describe('presence over nodes that a split server has parted', () => {
  let world: World;
  beforeEach(() => {
    world = new World();
  });
  afterEach(() => world.end());

  /** Has a node's side tell so much that its telling counts when it meets the other one. */
  async function tellMore(node: WorldNode): Promise<void> {
    for (const id of ['p', 'q', 'r', 's', 't', 'u']) {
      const number = node.join(id);
      await until(() => lastTold(world, id) === 'occupied');
      node.leave(number);
      await until(() => lastTold(world, id) === 'vacated');
    }
  }

  it('is told as it is once nodes meet again of which some told on their own', async () => {
    const [a, b, c] = [world.add('a'), world.add('b'), world.add('c')];
    const x = a.join('x');
    a.join('both');
    await world.settles();
    for (const { path } of [b, c]) path.lead(world.otherServer);
    a.leave(x);
    await until(() => [a, c].every(({ teller }) => teller.ledger.telling?.feeds.has('x') === false));
    c.join('x', 'both');
    const joined = c.join('new', 'x');
    await until(() => lastTold(world, 'new') === 'occupied' && lastTold(world, 'x') === 'occupied');
    await b.kill();
    await tellMore(a);
    // The only node that is left of those is not the one that told.
    c.path.cut();
    c.leave(joined);
    c.path.lead(world.server);
    await world.settles();
    await until(() => lastTold(world, 'new') === 'vacated');
    await sleep(calmMs);
    expect(world.isSettled).toBe(true);
    expect(['x', 'new', 'both'].map((id) => lastTold(world, id))).toEqual(['occupied', 'vacated', 'occupied']);
    const ids = world.told.map(({ event }) => event.id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('is told once where a node begins to tell before it has heard of those that have', async () => {
    const a = world.add('a');
    for (const id of ['x', 'y', 'z']) a.join(id);
    await world.settles();
    const b = world.add('b');
    b.path.lead(world.otherServer);
    await until(() => b.teller.ledger.telling !== undefined);
    b.path.lead(world.server);
    await world.settles();
    b.join('own');
    await world.settles();
    await sleep(calmMs);
    expect(world.isSettled).toBe(true);
    expect(['x', 'y', 'z', 'own'].map((id) => [id, toldOf(world, id)])).toEqual(['x', 'y', 'z', 'own'].map((id) => [id, alternating(1)]));
  });

  it('is told as it is, though those that told on their own come back one after the other', async () => {
    const [a, b, c] = [world.add('a'), world.add('b'), world.add('c')];
    a.join('both');
    await world.settles();
    for (const { path } of [b, c]) path.lead(world.otherServer);
    const first = b.join('first');
    await until(() => lastTold(world, 'first') === 'occupied');
    await tellMore(a);
    const teller = [b, c].find(
      ({ group }) => group.id === world.told.findLast(({ event }) => 'feed' in event && event.feed === 'first')?.by,
    );
    const other = teller === b ? c : b;
    b.leave(first);
    await until(() => lastTold(world, 'first') === 'vacated');
    other.path.lead(world.server);
    const second = (teller as WorldNode).join('second');
    await until(() => lastTold(world, 'second') === 'occupied' && other.teller.ledger.telling?.feeds.has('both') === true);
    (teller as WorldNode).path.cut();
    (teller as WorldNode).leave(second);
    (teller as WorldNode).path.lead(world.server);
    await until(() => lastTold(world, 'second') === 'vacated');
    await world.settles();
    expect(world.isSettled).toBe(true);
  });

  it('is told as it is, though the server forgets what a node has said of the others that told', async () => {
    const [a, b] = [world.add('a'), world.add('b')];
    a.join('both');
    await world.settles();
    b.path.lead(world.otherServer);
    const own = b.join('own');
    await until(() => lastTold(world, 'own') === 'occupied');
    await tellMore(a);
    b.path.cut();
    b.leave(own);
    world.server.forgets = 'fork';
    b.path.lead(world.server);
    await until(() => world.server.forgotten > 0);
    world.server.forgets = undefined;
    for (const { path } of [a, b]) path.mend(true);
    await until(() => lastTold(world, 'own') === 'vacated');
    await world.settles();
    expect(world.isSettled).toBe(true);
  });
});
