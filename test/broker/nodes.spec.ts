import type { Broker } from '../../src/feed/broker/broker.js';
import { Nodes } from '../../src/feed/cluster/nodes.js';
import { HealthModule } from '../../src/health/index.js';
import type { Engine } from '../../tools/engines.mjs';
import { type BrokerKind, describeSharedBrokers, engineOf, nodeOf as nodeOnBroker, roomy } from '../support/brokers.js';
import { atEnd } from '../support/ends.js';
import { closeAll, follow, type ModuleOptions, platforms, post, publishKey, type Served, serveFeeds, until } from '../support/serve.js';

const nodeOf = ({ app }: Served) => app.get(Nodes, { strict: false });

interface Cluster {
  open: number;
  opened: number;
  limit: number | null;
  nodes: { name: string; open: number }[];
  missing: string[];
}

describeSharedBrokers('many nodes on', (kind: BrokerKind) => {
  const count = 7;

  it('hear of each other by a roll, also after an outage, and lose one that ends without a word', async () => {
    const engine = (await engineOf(kind)) as Engine;
    const told: (string | undefined)[] = [];
    const start = async (n: number) => {
      const { broker } = nodeOnBroker(await kind.make(engine.port, roomy));
      const node = new Nodes(broker, `n${n}`, () => {}, 40);
      atEnd(() => node.stop());
      node.start();
      return { node, broker };
    };
    const all = [await start(0)];
    while (all.length < count) all.push(await start(all.length));
    const haveMet = () => until(() => all.every(({ node }) => node.others().length === all.length - 1));
    await haveMet();
    const listener = nodeOnBroker(await kind.make(engine.port, roomy)).broker;
    await listener.subscribe('$nodes', { next: ({ type }) => told.push(type), lost() {} });
    const onlyRolls = async () => {
      told.length = 0;
      await until(() => told.length > 2 * count && told.slice(-2 * count).every((type) => type === 'roll'));
    };
    await onlyRolls();
    await engine.kill();
    await until(() => all.every(({ broker }) => broker.unavailableSince !== undefined));
    await engine.restart();
    await until(() => all.every(({ broker }) => broker.unavailableSince === undefined));
    await haveMet();
    await onlyRolls();
    const gone = all.pop() as (typeof all)[number];
    await gone.broker.close();
    await haveMet();
    await onlyRolls();
    expect(all.filter(({ node }) => node.has(gone.node.id))).toEqual([]);
  });
});

describeSharedBrokers('nodes on', (kind: BrokerKind) => {
  describe.each(platforms)('on %s', (platform) => {
    let engine: Engine;
    beforeEach(async () => {
      engine = (await engineOf(kind)) as Engine;
    });
    afterEach(closeAll);

    const start = (nodeName: string) =>
      serveFeeds(
        platform,
        { broker: (context) => kind.make(engine.port, context), nodeName, maxConnections: 100, publishKey },
        { imports: [HealthModule] },
      );
    const clusterOf = async ({ url }: Served) => (await fetch(`${url}/health/connections?scope=cluster`)).json() as Promise<Cluster>;

    it('count the connections of all of them', async () => {
      const [a, b] = [await start('a'), await start('b')];
      for (const node of [a, b, b]) await follow(node, '/feeds/1');
      await until(async () => (await clusterOf(a)).open === 3 && (await clusterOf(b)).open === 3);
      expect(await clusterOf(a)).toMatchObject({
        opened: 3,
        limit: 200,
        nodes: [
          { name: 'a', open: 1 },
          { name: 'b', open: 2 },
        ],
      });
      expect(await clusterOf(b)).toMatchObject({
        nodes: [
          { name: 'b', open: 2 },
          { name: 'a', open: 1 },
        ],
      });
      expect(a.feeds.counts().feeds).toBe(1);
      await b.app.close();
      await until(async () => (await clusterOf(a)).nodes.length === 1);
    });

    it('meet again after the server was down', async () => {
      const a = await start('a');
      const b = await start('b');
      await until(async () => (await clusterOf(a)).nodes.length === 2);
      await engine.kill();
      await until(() => b.feeds.status.broker.unavailableSince !== undefined);
      await engine.restart();
      await until(() => b.feeds.status.broker.unavailableSince === undefined);
      await follow(b, '/feeds/1');
      await until(async () => (await clusterOf(a)).open === 1);
    });

    it('answer whatever else is announced there, and say so once in the log', async () => {
      const warnings: unknown[] = [];
      let broker: Broker | undefined;
      const options: ModuleOptions = {
        broker: async (context) => {
          broker = await kind.make(engine.port, context);
          return broker;
        },
      };
      const a = await serveFeeds(platform, options, { imports: [HealthModule] }, (app) =>
        app.useLogger({ log() {}, error() {}, warn: (message: unknown) => warnings.push(message) }),
      );
      const announce = (text: string) => (broker as Broker).publish('$nodes', { type: 'heartbeat', text, isJson: true });
      const answerAs = (id: string, value: object) => {
        const { id: to } = nodeOf(a);
        const text = JSON.stringify({ id, node: id, answers: 1, value });
        return (broker as Broker).publish(`$nodes/${to}`, { type: 'answer', text, isJson: true });
      };
      for (const text of ['', 'null', '[]', '{"id":1}', '{"id":"x","node":{}}', '{"id":"y/","node":"y"}']) await announce(text);
      await announce('{"id":"other","node":"other","version":9}');
      await until(() => a.feeds.nodeNames().length === 2);
      // What speaks as a node and answers nothing is missing; what answers in a way of its own is too.
      const [{ nodes, ...sum }] = await Promise.all([clusterOf(a), answerAs('other', { open: 'five' })]);
      expect(sum).toMatchObject({ open: 0, missing: ['other'] });
      expect(nodes).toHaveLength(1);
      expect(warnings).toEqual([expect.stringMatching(/malformed message/)]);
    });

    it('meet where no client can follow or publish', async () => {
      const { url, feeds } = await start('a');
      for (const path of ['/feeds/$nodes', '/feeds/%24nodes', '/feeds?id=$nodes']) expect((await fetch(url + path)).status).toBe(400);
      expect((await post(`${url}/feeds/$nodes`, 'x')).status).toBe(400);
      expect(() => feeds.messages('$nodes')).toThrow();
    });
  });
});
