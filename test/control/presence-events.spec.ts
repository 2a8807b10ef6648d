import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Get, Req, Res } from '@nestjs/common';
import { type Broker, type FeedConnection, type FeedEvent, FeedService } from '../../src/index.js';
import { WebhookModule } from '../../src/webhook/index.js';
import type { Engine } from '../../tools/engines.mjs';
import { type BrokerKind, describeBrokers, engineOf } from '../support/brokers.js';
import { Receiver, secret } from '../support/receiver.js';
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

    it('as connections follow other feeds, by the rules of these feeds, and without polls', async () => {
      let connection: FeedConnection | undefined;
      @Controller('own')
      class OwnController {
        constructor(private readonly feeds: FeedService) {}

        @Get()
        async follow(@Req() request: IncomingMessage, @Res() response: ServerResponse) {
          connection = await this.feeds.connect(request, response, { feeds: ['told/1', 'else'] });
        }
      }
      const served = await serveFeeds(
        platform,
        {
          broker: (context) => kind.make(engine?.port ?? 0, context),
          nodeName: 'a',
          rules: { 'told/*': { presence: true } },
        },
        { controllers: [OwnController] },
      );
      const ear = new Ear();
      ear.listen(served);
      await follow(served, '/feeds/else');
      await follow(served, '/feeds/told/poll?mode=poll&wait=30');
      await follow(served, '/own');
      await ear.hears('occupied told/1');
      await connection?.follow('told/2');
      await ear.hears('occupied told/1', 'occupied told/2');
      connection?.unfollow('told/1');
      await ear.hears('occupied told/1', 'occupied told/2', 'vacated told/1');
      await served.feeds.finish('told/2');
      await ear.hears('occupied told/1', 'occupied told/2', 'vacated told/1', 'vacated told/2');
    });

    it('also at a shutdown, which loses no connection', async () => {
      const receiver = await Receiver.start();
      const hook = { url: receiver.url, secret, batchMs: 5 };
      const startHooked = (nodeName: string) =>
        serveFeeds(
          platform,
          { broker: (context) => kind.make(engine?.port ?? 0, context), nodeName, presence: true, drainMs: 100 },
          { imports: [WebhookModule.forRoot(hook)] },
        );
      const a = await startHooked('a');
      await follow(a, '/feeds/1');
      const told = () => receiver.events.flatMap(({ type }) => (type === 'occupied' || type === 'vacated' ? type : []));
      await until(() => told().length === 1);
      if (kind.name !== 'memory') {
        const b = await startHooked('b');
        await follow(b, '/feeds/1');
        await until(async () => (await a.feeds.occupancy('1')).connections === 2);
        await b.app.close();
        expect(told()).toEqual(['occupied']);
      }
      await a.app.close();
      expect(told()).toEqual(['occupied', 'vacated']);
      expect(receiver.events.some((event) => event.type === 'closed' && event.reason === 'lost')).toBe(false);
    });

    it('not without the option: then nothing is said to other nodes', async () => {
      let broker: Broker | undefined;
      const served = await start('a', {
        presence: false,
        broker: async (context) => {
          broker = await kind.make(engine?.port ?? 0, context);
          return broker;
        },
      });
      const ear = new Ear();
      ear.listen(served);
      const peer = await follow(served, '/feeds/1');
      peer.leave();
      await until(() => ear.events.length === 4);
      expect(ear.events.map(({ type }) => type).sort()).toEqual(['closed', 'followed', 'opened', 'unfollowed']);
      expect(await broker?.read('$presence', 'earliest', 1e6)).toMatchObject({ messages: [] });
    });
  });
});
