import { PresenceAnnouncer } from '../../src/feed/cluster/presence/presence-announcer.js';
import type { FeedEvent } from '../../src/index.js';
import { WebhookModule } from '../../src/webhook/index.js';
import type { Engine } from '../../tools/engines.mjs';
import { Link } from '../../tools/link.mjs';
import { type BrokerKind, describeSharedBrokers, engineOf } from '../support/brokers.js';
import { atEnd } from '../support/ends.js';
import { Receiver, secret } from '../support/receiver.js';
import { closeAll, follow, platforms, type Served, serveFeeds, until } from '../support/serve.js';
import { jwtSecret, sign } from '../support/tokens.js';

/** A node on a path of its own to the engine. */
interface LinkedNode extends Served {
  readonly link: Link;
  readonly events: FeedEvent[];
}

const closed = (events: readonly FeedEvent[]) =>
  events.flatMap((event) => (event.type === 'closed' ? [`${event.connection} ${event.reason} ${event.feeds}`] : [])).sort();
const occupancy = (events: readonly FeedEvent[]) =>
  events.flatMap((event) => (event.type === 'occupied' || event.type === 'vacated' ? [`${event.type} ${event.feed}`] : []));

describeSharedBrokers('presence where nodes are lost on', (kind: BrokerKind) => {
  describe.each(platforms)('on %s', (platform) => {
    let engine: Engine;
    beforeEach(async () => {
      engine = (await engineOf(kind)) as Engine;
    });
    afterEach(closeAll);

    const start = async (nodeName: string, webhook?: Receiver): Promise<LinkedNode> => {
      const link = await Link.to(engine.port);
      atEnd(() => link.close());
      const options = {
        broker: (context: Parameters<BrokerKind['make']>[1]) => kind.make(link.port, context),
        ...{ nodeName, jwtSecret, rules: { '*': { read: 'public', presence: true } } as const, drainMs: 0 },
      };
      const imports = webhook
        ? [WebhookModule.forRoot({ url: webhook.url, secret, batchMs: 5, retryMs: 10, maxRetryMs: 20, flushMs: 50 })]
        : [];
      const served = await serveFeeds(platform, options, { imports });
      const events: FeedEvent[] = [];
      served.feeds.events$.subscribe((event) => events.push(event));
      return { ...served, link, events };
    };
    const meet = (...nodes: Served[]) => until(() => nodes.every(({ feeds }) => feeds.nodeNames().length === nodes.length));

    it('has its connections closed once, and opened again if it was only isolated', async () => {
      const nodes = [await start('a'), await start('b'), await start('c')] as const;
      const [a, b, c] = nodes;
      await meet(...nodes);
      const told: FeedEvent[] = [];
      for (const { feeds } of nodes) feeds.events$.subscribe((event) => told.push(event));
      const token = await sign({ sub: 'ada', feeds: ['*'] });
      await follow(a, '/feeds/both');
      await follow(b, '/feeds?id=both&id=own', `Authorization: Bearer ${token}`);
      const leaving = await follow(b, '/feeds/left');
      await until(() => occupancy(told).length >= 3);
      b.link.cut();
      await until(() => occupancy(told).length >= 5);
      const others = [...a.events, ...c.events];
      expect(closed(others)).toEqual(['b-1 lost both,own', 'b-2 lost left']);
      expect(others.find((event) => event.type === 'closed' && event.connection === 'b-1')).toMatchObject({
        ...{ node: 'b', subject: 'ada', durationMs: expect.any(Number), id: expect.any(String) },
        process: b.events.find((event) => event.type === 'opened')?.process,
      });
      expect(occupancy(told).slice(3).sort()).toEqual(['vacated left', 'vacated own']);
      leaving.leave();
      await until(() => b.events.some((event) => event.type === 'closed'));
      b.link.mend();
      await until(() => occupancy(told).length >= 6);
      expect(occupancy(told)[5]).toBe('occupied own');
      // By node b itself, while another one may tell of the feed.
      const opened = () => b.events.flatMap((event) => (event.type === 'opened' ? [event.connection] : []));
      await until(() => opened().length >= 3);
      expect(opened()).toEqual(['b-1', 'b-2', 'b-1']);
      expect(new Set(told.map(({ id }) => id)).size).toBe(told.length);
      await meet(...nodes);
      for (const { feeds } of nodes) expect(await feeds.occupancy('own')).toMatchObject({ connections: 1, missing: [] });
    });

    it('continues with another announcing node, whose webhook sends the events that the lost one may not have sent', async () => {
      const unheard = await Receiver.start((response) => response.writeHead(503).end());
      const receiver = await Receiver.start();
      const a = await start('a', unheard);
      await follow(a, '/feeds/1');
      await until(() => occupancy(a.events).length >= 1);
      const [b, c] = [await start('b', receiver), await start('c', receiver)];
      await meet(a, b, c);
      // Of feeds that were announced before they started, they know the state, and not the events.
      const known = (node: Served) => node.app.get(PresenceAnnouncer, { strict: false }).ledger.announced?.feeds.has('1');
      await until(() => known(b) === true && known(c) === true);
      await follow(a, '/feeds/2');
      await follow(b, '/feeds/3');
      await until(() => occupancy(a.events).length >= 3);
      a.link.cut();
      await until(() => occupancy(receiver.events).length >= 4);
      expect(occupancy(receiver.events).sort()).toEqual(['occupied 2', 'occupied 3', 'vacated 1', 'vacated 2']);
      const ids = (events: readonly FeedEvent[]) =>
        events.flatMap((event) => (event.type === 'occupied' && event.feed !== '1' ? [`${event.feed} ${event.id}`] : [])).sort();
      expect(ids(receiver.events)).toEqual(ids(a.events));
      expect(occupancy([...b.events, ...c.events]).sort()).toEqual(['vacated 1', 'vacated 2']);
      expect(closed(receiver.events)).toEqual(['a-1 lost 1', 'a-2 lost 2']);
    });
  });
});
