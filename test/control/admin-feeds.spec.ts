import { AdminModule, type InspectedFeed } from '../../src/admin/index.js';
import type { ConnectionPage, FeedPage } from '../../src/index.js';
import type { Engine } from '../../tools/engines.mjs';
import { admin, adminKey } from '../support/admin.js';
import { type BrokerKind, describeBrokers, describeSharedBrokers, engineOf } from '../support/brokers.js';
import { closeAll, feedModule, follow, type ModuleOptions, platforms, type Served, serve, until } from '../support/serve.js';

const imports = (options: ModuleOptions) => [feedModule(options), AdminModule.forRoot({ key: adminKey })];
const withKey = (more: Record<string, string> = {}) => ({ 'x-feed-key': adminKey, ...more });
const asText = withKey({ 'content-type': 'text/plain' });
const idsOf = ({ feeds }: FeedPage) => feeds.map(({ id }) => id);

describe.each(platforms)('the routes of operators for feeds on %s', (platform) => {
  afterEach(closeAll);

  const start = (options: ModuleOptions = {}) => serve(platform, { imports: imports({ nodeName: 'n', ...options }) });

  it('list feeds with subscribers and with history, by prefix, page by page', async () => {
    const served = await start();
    for (const feed of ['orders/1', 'orders/1', 'orders/3', 'quiet']) await follow(served, `/feeds/${feed}`);
    await served.feeds.publish('orders/1', 'four');
    await served.feeds.publish('orders/2', 'four');
    await served.feeds.finish('orders/2', { error: 'No.' });
    const { body } = await admin<FeedPage>(served, '/feeds?prefix=orders/');
    expect(body).toEqual({
      feeds: [
        { id: 'orders/1', subscribers: 2, historyLength: 1, historyBytes: expect.any(Number), ageMs: expect.any(Number) },
        {
          ...{ id: 'orders/2', subscribers: 0, historyLength: 2, historyBytes: expect.any(Number), ageMs: expect.any(Number) },
          ended: { reason: 'failed', message: 'No.' },
        },
        { id: 'orders/3', subscribers: 1, historyLength: 0, historyBytes: 0 },
      ],
      missing: [],
    });
    expect(idsOf((await admin<FeedPage>(served, '/feeds')).body)).toEqual(['orders/1', 'orders/2', 'orders/3', 'quiet']);
    const first = (await admin<FeedPage>(served, '/feeds?limit=3')).body;
    expect([idsOf(first), first.next]).toEqual([['orders/1', 'orders/2', 'orders/3'], 'orders/3']);
    const second = (await admin<FeedPage>(served, '/feeds?limit=3&after=orders/3')).body;
    expect([idsOf(second), second.next]).toEqual([['quiet'], undefined]);
  });

  it('show, publish to and clear a feed', async () => {
    const served = await start({ historyLength: 2 });
    const peer = await follow(served, '/feeds/a/b');
    for (const [body, type] of [['one'], ['<b>two</b>', '?type=t'], ['three']]) {
      const answer = await admin(served, `POST /feeds/a/b${type ?? ''}`, { body: body as string, headers: asText });
      expect([answer.status, answer.body]).toEqual([201, { id: expect.any(String), feed: 'a/b', subscribers: 1 }]);
    }
    await peer.sees('three');
    const json = await admin(served, 'POST /feeds/a%2Fb', { body: '{"n":1}', headers: withKey({ 'content-type': 'application/json' }) });
    expect(json.status).toBe(201);
    await peer.sees('{"n":1}');
    const { body } = await admin<InspectedFeed>(served, '/feeds/a%2Fb');
    expect(body).toMatchObject({ id: 'a/b', subscribers: 1, historyLength: 2, nodes: [{ name: 'n', subscribers: 1 }], missing: [] });
    expect(body.messages.map(({ data }) => data)).toEqual(['three', { n: 1 }]);
    const newest = await admin<InspectedFeed>(served, '/feeds/a/b?limit=1&reverse=true');
    expect(newest.body.messages.map(({ data }) => data)).toEqual([{ n: 1 }]);
    expect((await admin<InspectedFeed>(served, `/feeds/a/b?since=${body.position}`)).body.messages).toEqual([]);
    const cleared = await admin(served, 'DELETE /feeds/a/b');
    expect([cleared.status, cleared.body]).toEqual([204, undefined]);
    expect((await admin<InspectedFeed>(served, '/feeds/a/b')).body).toMatchObject({ historyLength: 0, messages: [] });
    expect((await admin<InspectedFeed>(served, '/feeds/never')).body).toMatchObject({ subscribers: 0, historyLength: 0, messages: [] });
  });

  it.each([
    ['GET /feeds?prefix=a%20b', 400, /prefix is the beginning of a feed's id/],
    ['GET /feeds?prefix=a*', 400, /prefix is the beginning/],
    [`GET /feeds?prefix=${'a'.repeat(201)}`, 400, /prefix is the beginning/],
    ['GET /feeds?limit=0', 400, /limit must be a whole number from 1 to 1000/],
    ['GET /feeds?limit=1001', 400, /limit must be a whole number from 1 to 1000/],
    ['GET /feeds?after=a%20b', 400, /A feed's id is/],
    ['GET /feeds?id=a', 400, /no parameter "id": there are prefix, limit, after/],
    ['GET /feeds/a%20b', 400, /A feed's id is/],
    ['GET /feeds/$nodes', 400, /A feed's id is/],
    ['GET /feeds/a?last=0', 400, /last must be a whole number/],
    ['GET /feeds/a?since=then', 400, /since/],
    ['GET /feeds/a?reverse=1', 400, /reverse is true or false/],
    ['POST /feeds/a', 415, /Content-Type/],
    ['POST /feeds/a?typ=x', 400, /no parameter "typ": there are type/],
    ['POST /feeds/$nodes', 400, /A feed's id is/],
    ['DELETE /feeds/a?all=1', 400, /no parameter "all"/],
    ['DELETE /feeds', 404, /Cannot DELETE/],
  ])('reject %s with %i', async (target, status, message) => {
    const answer = await admin(await start(), target);
    expect([answer.status, answer.body]).toEqual([status, expect.objectContaining({ message: expect.stringMatching(message) })]);
  });

  it.each(['GET /feeds', 'GET /feeds/a', 'POST /feeds/a', 'DELETE /feeds/a'])('need the key for %s', async (target) => {
    const served = await start();
    await served.feeds.publish('a', 'kept');
    for (const headers of [{}, { 'x-feed-key': 'wrong' }, { authorization: 'Bearer wrong' }] as Record<string, string>[]) {
      const { status, body } = await admin(served, target, { headers });
      expect([status, body.code]).toEqual([401, 'FEED_UNAUTHORIZED']);
    }
    expect((await served.feeds.history('a')).messages).toHaveLength(1);
  });

  it('take no more than a message may have', async () => {
    const served = await start({ bodyBytes: 10 });
    expect((await admin(served, 'POST /feeds/a', { body: 'x'.repeat(11), headers: asText })).status).toBe(413);
    await served.feeds.finish('a');
    expect((await admin(served, 'POST /feeds/a', { body: 'x', headers: asText })).body).toMatchObject({ code: 'FEED_ENDED' });
  });
});

describeBrokers('many feeds are listed, with', (kind: BrokerKind) => {
  afterEach(closeAll);

  it('each once, and in order', async () => {
    const engine = await engineOf(kind);
    const served = await serve('fastify', { imports: imports({ broker: (context) => kind.make(engine?.port ?? 0, context) }) });
    const all = Array.from({ length: 250 }, (_, n) => `f${n}`);
    await Promise.all(all.map((feed) => served.feeds.publish(feed, 'x', { key: 'once' })));
    const ids: string[] = [];
    for (let after: string | undefined = '', pages = 0; after !== undefined && pages < 10; pages += 1) {
      const { body }: { body: FeedPage } = await admin(served, `/feeds?prefix=f${after && `&after=${after}`}`);
      expect(body).not.toHaveProperty('partial');
      expect(new Set(body.feeds.map(({ historyLength }) => historyLength))).toEqual(new Set([1]));
      ids.push(...idsOf(body));
      after = body.next;
    }
    expect(ids).toEqual(all.sort());
  });
});

describeSharedBrokers('the routes of operators, on', (kind: BrokerKind) => {
  describe.each(platforms)('on %s', (platform) => {
    let engine: Engine;
    let a: Served;
    let b: Served;
    beforeEach(async () => {
      engine = (await engineOf(kind)) as Engine;
      const start = (nodeName: string) =>
        serve(platform, { imports: imports({ drainMs: 0, broker: (context) => kind.make(engine.port, context), nodeName }) });
      [a, b] = [await start('a'), await start('b')];
      await until(() => [a, b].every(({ feeds }) => feeds.nodeNames().length === 2));
    });
    afterEach(closeAll);

    it('cover all nodes', async () => {
      for (const node of [a, b, b]) await follow(node, '/feeds/common');
      const peer = await follow(b, '/feeds/own');
      await a.feeds.publish('common', 'x');
      const own = { id: 'own', subscribers: 1, historyLength: 0, historyBytes: 0 };
      expect((await admin<FeedPage>(a, '/feeds')).body).toMatchObject({ feeds: [{ id: 'common', subscribers: 3, historyLength: 1 }, own] });
      expect((await admin<InspectedFeed>(a, '/feeds/common')).body.nodes).toEqual([
        { name: 'a', subscribers: 1 },
        { name: 'b', subscribers: 2 },
      ]);
      const { body } = await admin<ConnectionPage>(a, '/connections?limit=2');
      expect([body.connections.map(({ id }) => id), body.next]).toEqual([['a-1', 'b-1'], 'b-1']);
      expect((await admin(a, 'DELETE /connections?feed=own')).body).toMatchObject({ ended: 1, nodes: [{ name: 'a' }, { name: 'b' }] });
      await peer.closed();
      const { nodes } = (await admin<{ nodes: { name: string; open: number }[] }>(b, '/nodes')).body;
      expect(nodes.map(({ name, open }) => [name, open])).toEqual([
        ['b', 2],
        ['a', 1],
      ]);
    });

    it('say which nodes are missing, and that the broker is unavailable', async () => {
      await follow(b, '/feeds/own');
      await engine.pause();
      const nodes = await admin(a, '/nodes');
      expect([nodes.status, nodes.body]).toMatchObject([200, { nodes: [{ name: 'a' }], missing: ['b'] }]);
      const feeds = await admin(a, '/feeds');
      expect([feeds.status, feeds.body.code, feeds.headers.get('retry-after')]).toEqual([503, 'FEED_BROKER', '5']);
      await engine.resume();
    });
  });
});
