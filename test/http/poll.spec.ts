import type { FeedEvent, FeedHistory } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { closeAll, type ModuleOptions, platforms, type Served, serveFeeds, until } from '../support/serve.js';
import { jwtSecret, sign } from '../support/tokens.js';

const dataOf = ({ messages }: FeedHistory) => messages.map(({ type, data }) => type ?? data);

describe.each(platforms)('a long poll on %s', (platform) => {
  let served: Served;
  const start = async (options: ModuleOptions = {}) => {
    served = await serveFeeds(platform, options);
  };
  afterEach(closeAll);

  const ask = (feed: string, query = '') => fetch(`${served.url}/feeds${feed && `/${feed}`}?mode=poll${query}`);
  const read = async (feed: string, query = '') => (await (await ask(feed, query)).json()) as FeedHistory;
  const waiting = (count = 1) => until(() => served.feeds.counts().opened - closed() === count);
  const closed = () => Object.values(served.feeds.counts().closed).reduce((sum, count) => sum + count);

  it('is answered with the next message', async () => {
    await start();
    await served.feeds.publish('a', 'before');
    const answers = Promise.all(Array.from({ length: 3 }, () => ask('a')));
    await waiting(3);
    expect(served.feeds.counts()).toMatchObject({ open: 3, handedOver: 0 });
    const message = await served.feeds.publish('a', 'next');
    for (const answer of await answers) {
      expect([answer.status, answer.headers.get('cache-control'), answer.headers.get('etag')]).toEqual([200, 'no-store', null]);
      const body = (await answer.json()) as FeedHistory;
      expect(body).toEqual({ messages: [message], position: answer.headers.get('feed-position') });
    }
    await until(() => served.feeds.counts().open === 0);
    expect(served.feeds.counts()).toMatchObject({ opened: 3, closed: { completed: 3 }, feeds: 0 });
  });

  it('is answered at once with what is stored since its position, and then goes on', async () => {
    await start();
    for (const n of [1, 2, 3]) await served.feeds.publish('a', n);
    const first = await read('a', '&since=earliest&limit=2');
    expect(dataOf(first)).toEqual([1, 2]);
    expect(dataOf(await read('a', '&since=-1'))).toEqual([3]);
    const second = await read('a', `&since=${first.position}`);
    expect(dataOf(second)).toEqual([3]);
    expect(served.feeds.counts().opened).toBe(0);
    const third = read('a', `&since=${second.position}`);
    await waiting();
    await served.feeds.publish('other', 'x');
    await served.feeds.publish('a', 4);
    expect(dataOf(await third)).toEqual([4]);
  });

  it('is refused with the reason when it is ended for good', async () => {
    await start({ jwtSecret, nodeName: 'n' });
    const authorization = `Bearer ${await sign({ sub: 'alice', feeds: ['*'] })}`;
    const ended = async (end: () => Promise<unknown>) => {
      const { opened } = served.feeds.counts();
      const answer = fetch(`${served.url}/feeds/a?mode=poll&since=earliest`, { headers: { authorization } });
      await until(() => served.feeds.counts().opened > opened);
      await end();
      const { status, headers } = await answer;
      const { code, message, messages } = (await (await answer).json()) as Record<string, unknown>;
      return [status, code ?? messages, message, headers.get('content-type')?.split(';')[0]];
    };
    const json = 'application/json';
    const which = { subject: 'alice' };
    expect(await ended(() => served.feeds.disconnect(which, { reason: 'Signed out', reconnect: false }))).toEqual([
      ...[403, 'FEED_DISCONNECTED', 'Signed out', json],
    ]);
    expect(await ended(() => served.feeds.disconnect(which, { reason: 'Move on' }))).toEqual([200, [], undefined, json]);
    expect(await ended(() => served.feeds.end('a'))).toEqual([200, [], undefined, json]);
    expect(await ended(() => served.feeds.revoke({ ...which, until: Date.now() + 60_000 }))).toEqual([
      ...[403, 'FEED_REVOKED', 'The token has been revoked.', json],
    ]);
    await until(() => served.feeds.counts().open === 0);
    expect(served.feeds.counts().closed).toMatchObject({ disconnected: 2, completed: 1, revoked: 1, client: 0 });
  });

  it('is answered with an empty list and the same position when its time is over', async () => {
    await start({ heartbeatMs: 100 });
    const position = await served.feeds.position('a');
    const answer = await ask('a', `&wait=1&since=${position}`);
    expect([answer.status, await answer.json()]).toEqual([200, { messages: [], position }]);
    await until(() => served.feeds.counts().open === 0);
    expect(served.feeds.counts().closed.aged).toBe(1);
  });

  it('misses nothing between one and the next, and has nothing twice, while others publish', async () => {
    await start({ historyLength: 10_000 });
    const got: unknown[] = [];
    let position = await served.feeds.position(['a', 'b']);
    const reading = (async () => {
      while (got.at(-1) !== 'last') {
        const answer = await read('', `&id=a&id=b&since=${position}`);
        got.push(...answer.messages.map(({ data }) => data));
        position = answer.position;
      }
    })();
    for (let n = 0; n < 500; n += 1) {
      await served.feeds.publish(n % 3 ? 'a' : 'b', n);
      if (n % 5 === 0) await new Promise(setImmediate);
      if (n % 50 === 0) await until(() => served.feeds.counts().open === 1);
    }
    await served.feeds.publish('a', 'last');
    await reading;
    expect(got).toEqual([...Array.from({ length: 500 }, (_, n) => n), 'last']);
  });

  it('is told of the end, of a new beginning, and of an end that it has', async () => {
    await start();
    const waits = read('a');
    await waiting();
    const end = await served.feeds.finish('a');
    const ended = { reason: 'completed' };
    expect(await waits).toMatchObject({ messages: [{ id: end.id }], ended });
    expect(await read('a', `&since=${end.id}`)).toMatchObject({ messages: [], ended });
    const other = read('b', `&since=${await served.feeds.position('b')}`);
    await until(() => served.feeds.subscribers('b') === 1);
    await served.feeds.clear('b');
    expect(await other).toMatchObject({ messages: [], reset: true });
  });

  it('counts as a connection: of the process, of its client, and of its feed, for events and for end()', async () => {
    await start({ maxConnections: 2, maxConnectionsPerClient: 2 });
    const events: FeedEvent['type'][] = [];
    served.feeds.events$.subscribe(({ type }) => events.push(type));
    const polls = [read('a'), read('b')];
    await waiting(2);
    expect(events.toSorted()).toEqual(['followed', 'followed', 'opened', 'opened']);
    expect((await ask('a')).status).toBe(503);
    expect((await fetch(`${served.url}/feeds/a`)).status).toBe(503);
    expect((await served.feeds.end('a')).ended).toBe(1);
    expect(await polls[0]).toMatchObject({ messages: [] });
    await until(() => served.feeds.counts().open === 1);
    served.feeds.end();
    expect(await polls[1]).toMatchObject({ messages: [] });
    await until(() => served.feeds.counts().open === 0);
    expect(events.filter((type) => type === 'closed' || type === 'unfollowed')).toHaveLength(4);
    expect(served.feeds.counts().rejectedBy.limit).toBe(2);
  });

  it('ends with its client, and its feed is free', async () => {
    await start();
    const peer = await Peer.get(served.port, '/feeds/a?mode=poll');
    await waiting();
    peer.leave();
    await until(() => served.feeds.counts().open === 0);
    expect(served.feeds.counts()).toMatchObject({ closed: { client: 1 }, feeds: 0 });
    await served.feeds.publish('a', 1);
  });

  it('leaves its connection to the next request', async () => {
    await start();
    const peer = await Peer.to(served.port);
    const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`;
    peer.send(get('/feeds/a?mode=poll'));
    for (const n of [1, 2, 3]) {
      await waiting();
      await served.feeds.publish('a', n);
      await peer.sees(`"data":${n}`);
      await until(() => served.feeds.counts().open === 0);
      if (n < 3) peer.send(get('/feeds/a?mode=poll'));
    }
    peer.send(get('/feeds/a?format=ndjson&since=-1'));
    await peer.sees(/x-ndjson.*"data":3/s);
    await until(() => served.feeds.counts().open === 1);
    expect(served.feeds.counts().handedOver).toBe(1);
  });

  it('is answered at once when the service shuts down', async () => {
    await start({ drainMs: 60_000 });
    const answers = [ask('a'), ask('b')];
    await waiting(2);
    const closing = served.app.close();
    for (const answer of await Promise.all(answers)) {
      expect([answer.status, answer.headers.get('connection')]).toEqual([200, 'close']);
      expect(await answer.json()).toMatchObject({ messages: [] });
    }
    await closing;
    expect(served.feeds.counts()).toMatchObject({ open: 0, closed: { drained: 2 } });
  });

  it('is answered when its token expires', async () => {
    await start({ jwtSecret, heartbeatMs: 100 });
    const token = await sign({ feeds: ['a'], exp: Math.floor(Date.now() / 1000) + 2 });
    const answer = await ask('a', `&token=${token}&wait=60`);
    expect([answer.status, await answer.json()]).toEqual([200, expect.objectContaining({ messages: [] })]);
    await until(() => served.feeds.counts().closed.expired === 1);
  });

  it('has no timer of its own', async () => {
    await start();
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const first = await Peer.get(served.port, '/feeds/a?mode=poll');
    await waiting();
    const before = timers();
    const peers = await Promise.all(Array.from({ length: 50 }, () => Peer.get(served.port, '/feeds/a?mode=poll')));
    await waiting(51);
    expect(timers() - before).toBeLessThan(10);
    for (const peer of [first, ...peers]) peer.leave();
    await until(() => served.feeds.counts().open === 0);
  });
});
