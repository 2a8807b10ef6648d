import type { FeedEvent } from '../../src/index.js';
import type { Engine } from '../../tools/engines.mjs';
import { type BrokerKind, describeBrokers, engineOf } from '../support/brokers.js';
import { closeAll, follow, type ModuleOptions, platforms, type Served, serveFeeds, until } from '../support/serve.js';

/** What nodes tell, in the order in which it comes. */
class Ear {
  readonly events: FeedEvent[] = [];

  listen({ feeds }: Served): void {
    feeds.events$.subscribe((event) => this.events.push(event));
  }

  /** The occupancy of feeds, as told. */
  get occupancy(): string[] {
    return this.events.flatMap((event) => (event.type === 'occupied' || event.type === 'vacated' ? `${event.type} ${event.feed}` : []));
  }

  async hears(...occupancy: string[]): Promise<void> {
    await until(() => this.occupancy.length >= occupancy.length);
    expect(this.occupancy).toEqual(occupancy);
    const ids = this.events.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  }
}

describeBrokers('feeds are told to be occupied and vacated on', (kind: BrokerKind) => {
  describe.each(platforms)('on %s', (platform) => {
    let engine: Engine | undefined;
    beforeEach(async () => {
      engine = await engineOf(kind);
    });
    afterEach(closeAll);

    const start = (nodeName: string, options: ModuleOptions = {}) =>
      serveFeeds(platform, { broker: (context) => kind.make(engine?.port ?? 0, context), nodeName, presence: true, ...options });

    it('when the first follower comes and the last leaves, once over all nodes', async () => {
      const ear = new Ear();
      const nodes: Served[] = [];
      for (const name of kind.name === 'memory' ? ['a'] : ['a', 'b', 'c']) nodes.push(await start(name));
      for (const node of nodes) ear.listen(node);
      const [a, b, c] = [nodes[0], nodes[1] ?? nodes[0], nodes[2] ?? nodes[0]] as [Served, Served, Served];
      const first = await follow(a, '/feeds/1');
      await ear.hears('occupied 1');
      const second = await follow(b, '/feeds?id=1&id=2');
      await ear.hears('occupied 1', 'occupied 2');
      first.leave();
      const third = await follow(c, '/feeds/3');
      await ear.hears('occupied 1', 'occupied 2', 'occupied 3');
      second.leave();
      await until(() => ear.occupancy.length === 5);
      expect(ear.occupancy.slice(3).sort()).toEqual(['vacated 1', 'vacated 2']);
      third.leave();
      await until(() => ear.occupancy.length === 6);
      expect(ear.occupancy[5]).toBe('vacated 3');
    });
  });
});
