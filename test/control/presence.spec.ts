import { FeedTokenService } from '../../src/index.js';
import type { Engine } from '../../tools/engines.mjs';
import { type BrokerKind, describeSharedBrokers, engineOf } from '../support/brokers.js';
import { closeAll, follow, type ModuleOptions, platforms, type Served, serveFeeds, until } from '../support/serve.js';
import { jwtSecret, sign } from '../support/tokens.js';

const bearer = (token: string) => `Authorization: Bearer ${token}`;

describe.each(platforms)('the presence of a feed on %s', (platform) => {
  afterEach(closeAll);

  const serve = (options: ModuleOptions = {}) =>
    serveFeeds(platform, { nodeName: 'n', jwtSecret, rules: { '*': { read: 'public' } }, ...options });
  const join = async (served: Served, path: string, claims: object) =>
    follow(served, path, bearer(await sign({ feeds: ['*'], ...claims })));

  it('is its users, with their connections and what their newest token says of them, and those without a subject', async () => {
    const served = await serve();
    await join(served, '/feeds/a', { sub: 'bob', info: { name: 'Bob' } });
    await join(served, '/feeds?id=a&id=b', { sub: 'ada', info: { name: 'Ada' } });
    const left = await join(served, '/feeds/a', { sub: 'ada', info: ['older', 1] });
    await join(served, '/feeds/a', { sub: 'ada', info: 'new' });
    await join(served, '/feeds/b', { sub: 'elsewhere' });
    await follow(served, '/feeds/a');
    left.leave();
    await until(() => served.feeds.counts().open === 5);
    expect(await served.feeds.presence('a')).toEqual({
      users: [
        { subject: 'ada', connections: 2, info: 'new' },
        { subject: 'bob', connections: 1, info: { name: 'Bob' } },
      ],
      anonymous: 1,
      missing: [],
    });
    expect(await served.feeds.occupancy('a')).toEqual({ connections: 4, users: 2, nodes: [{ name: 'n', connections: 4 }], missing: [] });
    expect(await served.feeds.presence('nobody')).toEqual({ users: [], anonymous: 0, missing: [] });
    expect(await served.feeds.occupancy('nobody')).toMatchObject({ connections: 0, users: 0 });
  });

  it('has those that wait with a poll, and neither a subscription of the application nor a connection that has ended', async () => {
    const served = await serve();
    const own = served.feeds.messages('a').subscribe();
    expect(await served.feeds.occupancy('a')).toMatchObject({ connections: 0 });
    await join(served, '/feeds/a?mode=poll&wait=20', { sub: 'poller' });
    expect(await served.feeds.presence('a')).toMatchObject({ users: [{ subject: 'poller', connections: 1 }] });
    await served.feeds.disconnect({ subject: 'poller' });
    expect(await served.feeds.presence('a')).toMatchObject({ users: [], anonymous: 0 });
    own.unsubscribe();
  });

  it('comes page by page', async () => {
    const served = await serve();
    for (const sub of ['e', 'b', 'd', 'a', 'c', 'b']) await join(served, '/feeds/a', { sub });
    const pages: string[][] = [];
    let after: string | undefined;
    do {
      const { users, next } = await served.feeds.presence('a', { limit: 2, after });
      pages.push(users.map(({ subject, connections }) => `${subject}${connections}`));
      after = next;
    } while (after !== undefined);
    expect(pages).toEqual([['a1', 'b2'], ['c1', 'd1'], ['e1']]);
  });

  it.each([
    ['a b', {}, /A feed's id is/],
    ['a', { limit: 0 }, /limit must be a whole number from 1 to 1000/],
    ['a', { limit: 1001 }, /limit must be a whole number from 1 to 1000/],
    ['a', { after: '' }, /after is the subject/],
    ['a', { after: 7 }, /after is the subject/],
  ])('cannot be asked for %j by %j', async (feed, query, message) => {
    const { feeds } = await serve();
    await expect(feeds.presence(feed, query as object)).rejects.toThrow(message);
  });

  it('has no `info` whose JSON has more than 1,024 bytes, and no token is issued with one', async () => {
    const served = await serve();
    const tokens = served.app.get(FeedTokenService, { strict: false });
    const longest = 'é'.repeat(511);
    await join(served, '/feeds/a', { sub: 'ada', info: `${longest}x` });
    expect(await served.feeds.presence('a')).toMatchObject({ users: [{ subject: 'ada', connections: 1 }] });
    expect((await served.feeds.presence('a')).users[0]).not.toHaveProperty('info');
    await follow(served, '/feeds/a', bearer(await tokens.create({ feeds: '*', subject: 'bob', info: longest })));
    expect((await served.feeds.presence('a')).users[1]).toEqual({ subject: 'bob', connections: 1, info: longest });
    await expect(tokens.create({ feeds: 'a', info: `${longest}x` })).rejects.toThrow('info may have 1024 bytes of JSON, not 1025');
    await expect(tokens.create({ feeds: 'a', info: () => 1 })).rejects.toThrow('info must be JSON');
    await expect(tokens.create({ feeds: 'a', info: 1n })).rejects.toThrow(/info must be JSON: /);
  });
});

describeSharedBrokers('the presence of a feed over nodes on', (kind: BrokerKind) => {
  describe.each(platforms)('on %s', (platform) => {
    let engine: Engine;
    beforeEach(async () => {
      engine = (await engineOf(kind)) as Engine;
    });
    afterEach(closeAll);

    const start = (nodeName: string) =>
      serveFeeds(platform, {
        broker: (context) => kind.make(engine.port, context),
        nodeName,
        jwtSecret,
        rules: { '*': { read: 'public' } },
      });

    it('is that of all of them, page by page, and says which did not answer', async () => {
      const nodes = [await start('a'), await start('b'), await start('c')] as const;
      const [a, b, c] = nodes;
      await until(() => nodes.every(({ feeds }) => feeds.nodeNames().length === nodes.length));
      for (const [node, sub] of [
        [a, 'u1'],
        [b, 'u2'],
        [c, 'u3'],
        [b, 'u1'],
        [c, 'u4'],
      ] as const)
        await follow(node, '/feeds/f', bearer(await sign({ feeds: ['*'], sub, info: node.port })));
      await follow(c, '/feeds/f');
      for (const { feeds } of nodes) {
        const { users, anonymous, missing } = await feeds.presence('f');
        expect(users).toEqual([
          { subject: 'u1', connections: 2, info: b.port },
          { subject: 'u2', connections: 1, info: b.port },
          { subject: 'u3', connections: 1, info: c.port },
          { subject: 'u4', connections: 1, info: c.port },
        ]);
        expect([anonymous, missing]).toEqual([1, []]);
      }
      const first = await a.feeds.presence('f', { limit: 3 });
      expect([first.users.map(({ subject }) => subject), first.next]).toEqual([['u1', 'u2', 'u3'], 'u3']);
      expect(await a.feeds.presence('f', { limit: 3, after: 'u3' })).toMatchObject({ users: [{ subject: 'u4' }] });
      expect(await b.feeds.occupancy('f')).toEqual({
        connections: 6,
        users: 4,
        nodes: [
          { name: 'b', connections: 2 },
          { name: 'a', connections: 1 },
          { name: 'c', connections: 3 },
        ],
        missing: [],
      });
      engine.pause();
      // What was under way when the engine was paused may still arrive.
      await until(async () => (await a.feeds.occupancy('f')).missing.length === 2);
      expect(await a.feeds.occupancy('f')).toMatchObject({ connections: 1, missing: ['b', 'c'] });
      engine.resume();
    });
  });
});
