import type { ConnectionInfo, FeedEvent } from '../../src/index.js';
import type { Engine } from '../../tools/engines.mjs';
import { type BrokerKind, describeSharedBrokers, engineOf } from '../support/brokers.js';
import { Peer } from '../support/peer.js';
import { closeAll, follow, type ModuleOptions, platforms, type Served, serveFeeds, until } from '../support/serve.js';
import { jwtSecret, sign } from '../support/tokens.js';

const idsOf = ({ connections }: { connections: readonly ConnectionInfo[] }) => connections.map(({ id }) => id);

describe.each(platforms)('connections on %s', (platform) => {
  afterEach(closeAll);

  const serve = (options: ModuleOptions = {}) => serveFeeds(platform, { nodeName: 'n', ...options });

  it('have an id, which their clients get in the head, and in a comment of an event stream', async () => {
    const served = await serve();
    const text = await follow(served, '/feeds/a');
    await text.sees(/Feed-Connection: n-1\r\n/);
    const sse = await follow(served, '/feeds/a', 'Accept: text/event-stream');
    await sse.sees(/Feed-Connection: n-2\r\n[\s\S]*: connection n-2\n\n/);
    expect(idsOf(await served.feeds.connections())).toEqual(['n-1', 'n-2']);
  });

  it('are listed with what is known of them', async () => {
    const served = await serve({ jwtSecret, public: false });
    const token = await sign({ sub: 'alice', feeds: ['*'], jti: 'token-1' });
    const begun = Date.now();
    const peer = await follow(
      served,
      '/feeds?id=a&id=b&format=sse',
      `Authorization: Bearer ${token}`,
      `User-Agent: ${'agent/1 '.repeat(50)}`,
    );
    await served.feeds.publish('a', 'hello');
    await peer.sees('hello');
    const { connections, missing } = await served.feeds.connections();
    expect(missing).toEqual([]);
    expect(connections).toEqual([
      {
        ...{ id: 'n-1', node: 'n', subject: 'alice', address: '127.0.0.1', userAgent: 'agent/1 '.repeat(25), feeds: ['a', 'b'] },
        ...{ since: expect.any(Number), messages: 1, bytes: expect.any(Number), waitingBytes: 0, progressAt: expect.any(Number) },
        ...{ format: 'sse', transport: 'socket', lag: 0 },
      },
    ]);
    const [info] = connections;
    expect(info?.since).toBeGreaterThanOrEqual(begun - 1);
    expect(info?.bytes).toBeGreaterThan(10);
  });

  it('are found by the same when they have ended', async () => {
    const served = await serve({ jwtSecret, public: false });
    const { feeds } = served;
    for (const subject of ['alice', 'bob']) {
      const token = await sign({ sub: subject, feeds: ['*'] });
      await follow(served, `/feeds?id=common&id=${subject}`, `Authorization: Bearer ${token}`);
    }
    const filters = [
      { node: 'n' },
      { node: 'other' },
      { subject: 'bob' },
      { subject: 'carol' },
      { feed: 'alice' },
      { feed: 'carol' },
      { connection: 'n-2' },
      { connection: 'n-3' },
      { address: '127.0.0.1' },
      { address: '127.0.0.2' },
      { node: 'n', subject: 'alice', feed: 'common' },
      { node: 'other', subject: 'alice', feed: 'common' },
    ];
    const found = (state: 'open' | 'ended') =>
      Promise.all(filters.map(async (filter) => idsOf(await feeds.connections({ ...filter, state })).sort()));
    const open = await found('open');
    expect(open.flat()).toHaveLength(2 + 1 + 1 + 1 + 2 + 1);
    await feeds.end();
    await until(() => feeds.counts().open === 0);
    expect(await found('ended')).toEqual(open);
  });

  it('are found by what they have, page by page', async () => {
    const served = await serve({ jwtSecret, public: false });
    const { feeds } = served;
    for (let n = 1; n <= 5; n += 1) {
      const token = await sign({ sub: n % 2 ? 'odd' : 'even', feeds: ['*'], jti: `t${n}` });
      await follow(served, `/feeds?id=common&id=${n}`, `Authorization: Bearer ${token}`);
    }
    expect(idsOf(await feeds.connections({ subject: 'odd' }))).toEqual(['n-1', 'n-3', 'n-5']);
    expect(idsOf(await feeds.connections({ feed: '4' }))).toEqual(['n-4']);
    expect(idsOf(await feeds.connections({ token: 't2' }))).toEqual(['n-2']);
    expect(idsOf(await feeds.connections({ connection: 'n-3' }))).toEqual(['n-3']);
    expect(idsOf(await feeds.connections({ subject: 'odd', feed: '4' }))).toEqual([]);
    expect(idsOf(await feeds.connections({ address: '127.0.0.1', node: 'n' }))).toHaveLength(5);
    expect(idsOf(await feeds.connections({ node: 'other' }))).toEqual([]);
    const first = await feeds.connections({ limit: 2 });
    expect([idsOf(first), first.next]).toEqual([['n-1', 'n-2'], 'n-2']);
    const second = await feeds.connections({ limit: 2, after: first.next });
    expect([idsOf(second), second.next]).toEqual([['n-3', 'n-4'], 'n-4']);
    const third = await feeds.connections({ limit: 2, after: second.next });
    expect([idsOf(third), third.next]).toEqual([['n-5'], undefined]);
  });

  it('stay in the list of those that ended, with their reason', async () => {
    const served = await serve();
    const [one, two] = [await follow(served, '/feeds/a'), await follow(served, '/feeds/b')];
    one.leave();
    await until(() => served.feeds.counts().open === 1);
    await served.feeds.end('b');
    await two.closed();
    await until(() => served.feeds.counts().open === 0);
    const { connections } = await served.feeds.connections({ state: 'ended' });
    expect(connections.map(({ id, reason }) => [id, reason])).toEqual([
      ['n-2', 'completed'],
      ['n-1', 'client'],
    ]);
    expect(connections[0]?.endedAt).toBeGreaterThanOrEqual(connections[0]?.since ?? Number.NaN);
    expect(idsOf(await served.feeds.connections({ state: 'ended', feed: 'a' }))).toEqual(['n-1']);
  });

  it.each([
    [{ limit: 0 }, /limit must be a whole number from 1 to 1000/],
    [{ limit: 1001 }, /limit must be a whole number from 1 to 1000/],
    [{ limit: 1.5 }, /limit must be a whole number from 1 to 1000/],
    [{ state: 'closed' }, /state is open or ended/],
    [{ scope: 'world' }, /scope is node or cluster/],
    [{ after: 'x' }, /after is a connection's id/],
    [{ after: 'n-1', state: 'ended' }, /after goes with open/],
    [{ token: 't1', state: 'ended' }, /token goes with open/],
    [{ feed: 'a b' }, /A feed's id is/],
    [{ subject: '' }, /subject is a text/],
    [{ subject: 7 }, /subject is a text/],
  ])('cannot be listed by %j', async (query, message) => {
    const { feeds } = await serve();
    await expect(feeds.connections(query as object)).rejects.toThrow(message);
  });

  describe('are ended, although their clients do not read:', () => {
    let served: Served;
    beforeEach(async () => {
      served = await serve({ jwtSecret, public: false, stallMs: 0, historyLength: 1000, historyBytes: 2 ** 25 });
      for (let n = 0; n < 300; n += 1) await served.feeds.publish('a', `${n} ${'x'.repeat(60_000)}`);
    });
    const stalled = async () => {
      const peer = await Peer.get(
        served.port,
        '/feeds/a?since=earliest',
        `Authorization: Bearer ${await sign({ sub: 'alice', feeds: ['*'] })}`,
      );
      peer.socket.pause();
      await until(async () => ((await served.feeds.connections()).connections[0]?.waitingBytes ?? 0) > 0);
      return peer;
    };
    const gone = () => until(() => served.feeds.counts().open === 0);

    it('by a disconnect, which counts them for as long as they are there', async () => {
      await stalled();
      for (let n = 0; n < 2; n += 1) expect(await served.feeds.disconnect({ subject: 'alice' })).toMatchObject({ ended: 1 });
      await gone();
      expect(await served.feeds.disconnect({ subject: 'alice' })).toMatchObject({ ended: 0 });
      expect(served.feeds.counts().closed).toMatchObject({ disconnected: 1 });
    });

    it('by a disconnect, also where they have been ended otherwise', async () => {
      await stalled();
      await served.feeds.end('a');
      expect(served.feeds.counts().open).toBe(1);
      expect(await served.feeds.disconnect({ subject: 'alice' })).toMatchObject({ ended: 1 });
      await gone();
      expect(served.feeds.counts().closed).toMatchObject({ completed: 1 });
    });

    it.each([false, true])('by a revocation (ended otherwise before: %s)', async (isEnding) => {
      const peer = await stalled();
      if (isEnding) await served.feeds.end('a');
      expect(await served.feeds.revoke({ subject: 'alice', until: Date.now() + 60_000 })).toMatchObject({ ended: 1 });
      await gone();
      peer.socket.resume();
      await peer.closed();
      expect(peer.text).not.toContain('299 x');
    });
  });

  describe('are ended while they are being opened:', () => {
    let served: Served;
    let give: ((state: string) => void) | undefined;
    let peer: Peer;
    beforeEach(async () => {
      give = undefined;
      const snapshot = () =>
        new Promise<string>((resolve) => {
          give = resolve;
        });
      served = await serve({ jwtSecret, public: false, stallMs: 0, historyBytes: 2 ** 25, rules: { b: { snapshot } } });
      peer = await Peer.get(served.port, '/feeds/b?format=sse', await alice());
      await until(() => give !== undefined);
    });
    const alice = async () => `Authorization: Bearer ${await sign({ sub: 'alice', feeds: ['*'] })}`;
    const disconnect = (reconnect: boolean) => served.feeds.disconnect({ subject: 'alice' }, { reason: 'enough', reconnect });
    const revoke = () => served.feeds.revoke({ subject: 'alice', until: Date.now() + 60_000 });
    const answer = async () => {
      give?.('x');
      await peer.sees('}');
      return [peer.status, JSON.parse(peer.body).code];
    };

    it('by a disconnect, which waits for their answer longer than for clients that do not read', async () => {
      for (let n = 0; n < 300; n += 1) await served.feeds.publish('a', `${n} ${'x'.repeat(60_000)}`);
      const stalled = await Peer.get(served.port, '/feeds/a?since=earliest', await alice());
      stalled.socket.pause();
      await until(() => served.feeds.counts().bufferedBytes > 0);
      expect(await disconnect(false)).toMatchObject({ ended: 2 });
      await until(() => served.feeds.counts().open === 1);
      expect(await answer()).toEqual([403, 'FEED_DISCONNECTED']);
    });

    it('by a disconnect after which their clients reconnect: it is told in their format', async () => {
      expect(await disconnect(true)).toMatchObject({ ended: 1 });
      give?.('x');
      await peer.closed();
      expect([peer.status, peer.isComplete]).toEqual([200, true]);
      expect(peer.body).toContain('event: error\ndata: {"code":"FEED_DISCONNECTED","message":"enough"}\n\n');
      await until(() => served.feeds.counts().open === 0);
      expect(served.feeds.counts().closed).toMatchObject({ disconnected: 1 });
    });

    it('by a disconnect, and then by a revocation', async () => {
      await disconnect(true);
      await revoke();
      expect(await answer()).toEqual([403, 'FEED_REVOKED']);
    });

    it('by several revocations', async () => {
      for (let n = 0; n < 2; n += 1) expect(await revoke()).toMatchObject({ ended: 1 });
      expect(await answer()).toEqual([403, 'FEED_REVOKED']);
    });
  });

  it('are ended with words for their clients, and without a reconnection where none is wanted', async () => {
    const served = await serve();
    const events: FeedEvent[] = [];
    served.feeds.events$.subscribe((event) => events.push(event));
    const sse = await follow(served, '/feeds/a?format=sse');
    const ndjson = await follow(served, '/feeds/a?format=ndjson&marks=1');
    const other = await follow(served, '/feeds/b');
    const told = await served.feeds.disconnect({ feed: 'a' }, { reason: 'enough', reconnect: false });
    expect(told).toEqual({ ended: 2, nodes: [{ name: 'n', ended: 2 }], missing: [] });
    await sse.sees(
      /retry: 2147483647\n\n[\s\S]*event: error\ndata: \{"code":"FEED_DISCONNECTED","message":"enough","status":403\}\n\n[\s\S]*\r\n0\r\n\r\n$/,
    );
    await ndjson.sees('{"error":{"code":"FEED_DISCONNECTED","message":"enough","status":403}}');
    await Promise.all([sse.closed(), ndjson.closed()]);
    await until(() => served.feeds.counts().closed.disconnected === 2);
    const closed = events.flatMap((event) => (event.type === 'closed' ? [[event.connection, event.node, event.reason]] : []));
    expect(closed.sort()).toEqual([
      ['n-1', 'n', 'disconnected'],
      ['n-2', 'n', 'disconnected'],
    ]);
    expect(other.socket.destroyed).toBe(false);
    await expect(served.feeds.disconnect({})).rejects.toThrow(/Specify which connections/);
    await expect(served.feeds.disconnect({ subject: 'x' }, { reason: 'x'.repeat(201) })).rejects.toThrow(/reason is a text of 1 to 200/);
  });
});

describeSharedBrokers('connections of several nodes on', (kind: BrokerKind) => {
  describe.each(platforms)('on %s', (platform) => {
    let engine: Engine;
    beforeEach(async () => {
      engine = (await engineOf(kind)) as Engine;
    });
    afterEach(closeAll);

    const start = (nodeName: string) => serveFeeds(platform, { broker: (context) => kind.make(engine.port, context), nodeName });
    const meet = (...nodes: Served[]) => until(() => nodes.every(({ feeds }) => feeds.nodeNames().length === nodes.length));

    it('are listed and ended from any of them', async () => {
      const [a, b, c] = [await start('a'), await start('b'), await start('c')];
      await meet(a, b, c);
      for (const node of [a, b, b, c]) await follow(node, '/feeds/1');
      expect(idsOf(await b.feeds.connections())).toEqual(['a-1', 'b-1', 'b-2', 'c-1']);
      expect(idsOf(await b.feeds.connections({ scope: 'node' }))).toEqual(['b-1', 'b-2']);
      const page = await c.feeds.connections({ limit: 2 });
      expect([idsOf(page), page.next]).toEqual([['a-1', 'b-1'], 'b-1']);
      expect(idsOf(await c.feeds.connections({ limit: 2, after: 'b-1' }))).toEqual(['b-2', 'c-1']);
      expect(await a.feeds.disconnect({ connection: 'b-2' })).toMatchObject({ ended: 1, missing: [] });
      const { ended, nodes } = await a.feeds.end('1');
      expect([ended, nodes]).toEqual([
        3,
        [
          { name: 'a', ended: 1 },
          { name: 'b', ended: 1 },
          { name: 'c', ended: 1 },
        ],
      ]);
      await until(async () => (await c.feeds.connections({ state: 'ended' })).connections.length === 4);
    });

    it('are missing while the broker is unavailable, and not of a node that has left', async () => {
      const [a, b, c] = [await start('a'), await start('b'), await start('c')];
      await meet(a, b, c);
      await follow(b, '/feeds/1');
      await c.app.close();
      await until(() => a.feeds.nodeNames().length === 2);
      expect(await a.feeds.connections()).toMatchObject({ connections: [{ id: 'b-1' }], missing: [] });
      await engine.kill();
      await until(() => a.feeds.status.broker.unavailableSince !== undefined);
      expect(await a.feeds.connections()).toMatchObject({ connections: [], missing: ['b'] });
      expect(await a.feeds.disconnect({ feed: '1' })).toMatchObject({ ended: 0, missing: ['b'] });
      await engine.restart();
      await until(async () => idsOf(await a.feeds.connections()).length === 1);
      // It is not kept for the node: it is asked again.
      expect(await a.feeds.disconnect({ feed: '1' })).toMatchObject({ ended: 1, missing: [] });
    });
  });
});
