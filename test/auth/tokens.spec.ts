import { type FeedEvent, type FeedOptions, FeedTokenService } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { feedModule, platforms, type Served, serve, until } from '../support/serve.js';

describe.each(platforms)('presence on %s', (platform) => {
  it('tells who comes and goes, and which feeds are followed', async () => {
    const served = await serve(platform, { imports: [feedModule()] });
    const events: FeedEvent[] = [];
    served.feeds.events$.subscribe((event) => events.push(event));
    const begun = Date.now();
    const one = await Peer.get(served.port, '/feeds/a');
    await until(() => events.length === 2);
    const two = await Peer.get(served.port, '/feeds?id=a&id=b');
    await until(() => events.length === 4);
    one.leave();
    await until(() => events.length === 5);
    served.feeds.end('b');
    await two.closed();
    await until(() => events.length === 8);
    const told = events.map((event) => {
      expect(event.time).toBeGreaterThanOrEqual(begun);
      const { time, ...rest } = event;
      return rest;
    });
    const durationMs = expect.any(Number);
    expect(told).toEqual([
      { type: 'followed', feed: 'a' },
      { type: 'opened', connection: 1, feeds: ['a'] },
      { type: 'followed', feed: 'b' },
      { type: 'opened', connection: 2, feeds: ['a', 'b'] },
      { type: 'closed', connection: 1, feeds: ['a'], reason: 'client', durationMs },
      { type: 'closed', connection: 2, feeds: ['a', 'b'], reason: 'completed', durationMs },
      { type: 'unfollowed', feed: 'a' },
      { type: 'unfollowed', feed: 'b' },
    ]);
    await served.app.close();
  });

  it('leaves nothing of a connection that never opened', async () => {
    const fails = () => {
      throw new Error('at once');
    };
    const served = await serve(platform, { imports: [feedModule({ source: fails })] });
    expect((await fetch(`${served.url}/feeds/a`)).status).toBe(500);
    expect(served.feeds.counts()).toMatchObject({ open: 0, opened: 0, feeds: 0 });
    await served.app.close();
  });
});

describe.each(platforms)('tokens on %s', (platform) => {
  const jwtSecret = 'a secret of more than 32 bytes, as it should be';
  let served: Served;
  let tokens: FeedTokenService;
  const start = async (options: FeedOptions = {}) => {
    served = await serve(platform, { imports: [feedModule({ jwtSecret, publishKey: 'key', ...options })] });
    tokens = served.app.get(FeedTokenService, { strict: false });
  };
  const status = async (path: string, token?: string, init: RequestInit = {}) => {
    const abort = new AbortController();
    const headers = { ...(token && { authorization: `Bearer ${token}` }), ...init.headers };
    const { status: answered } = await fetch(served.url + path, { ...init, headers, signal: abort.signal });
    abort.abort();
    return answered;
  };
  const post = { method: 'POST', body: 'x', headers: { 'content-type': 'text/plain' } };

  afterEach(async () => {
    Peer.leaveAll();
    await served.app.close();
  });

  it('decide who reads which feeds', async () => {
    await start();
    const token = await tokens.create({ feeds: ['orders/*', 'news'] });
    expect(await status('/feeds/news')).toBe(401);
    expect(await status('/feeds/news', 'garbage')).toBe(401);
    for (const path of ['/feeds/news', '/feeds/orders/1', '/feeds/orders%2F1', '/feeds/orders/1/2', '/feeds?id=news&id=orders/9']) {
      expect([path, await status(path, token)]).toEqual([path, 200]);
      expect([path, await status(`${path}${path.includes('?') ? '&' : '?'}token=${token}`)]).toEqual([path, 200]);
      expect([path, await status(path, undefined, { headers: { cookie: `a=b; feed_token=${token}` } })]).toEqual([path, 200]);
    }
    // An id that is followed is answered as one that nobody has ever heard of.
    await served.feeds.publish('secret', 1);
    for (const path of ['/feeds/secret', '/feeds/unheard-of', '/feeds/news/1', '/feeds?id=news&id=secret']) {
      expect([path, await status(path, token)]).toEqual([path, 403]);
    }
  });

  it('decide who publishes where', async () => {
    await start();
    const token = await tokens.create({ feeds: 'news', publish: ['news', 'drafts/*'] });
    const many = (feeds: string[]) => ({
      method: 'POST',
      body: JSON.stringify({ feeds, data: 1 }),
      headers: { 'content-type': 'application/json' },
    });
    expect(await status('/feeds/news', token, post)).toBe(201);
    expect(await status('/feeds/drafts/1', token, post)).toBe(201);
    expect(await status('/feeds/other', token, post)).toBe(403);
    expect(await status('/feeds', token, many(['news', 'drafts/2']))).toBe(201);
    expect(await status('/feeds', token, many(['news', 'other']))).toBe(403);
    expect(await status('/feeds/news', await tokens.create({ feeds: '*' }), post)).toBe(403);
    expect(await status('/feeds/other', 'key', post)).toBe(201);
    expect(await status('/feeds/other', undefined, post)).toBe(401);
  });

  it('are told to nobody: neither the source nor a presence event has them', async () => {
    const urls: string[] = [];
    await start({
      source: ({ url }) => {
        urls.push(url);
        return [];
      },
    });
    const events: FeedEvent[] = [];
    served.feeds.events$.subscribe((event) => events.push(event));
    const token = await tokens.create({ feeds: '*', subject: 'ada' });
    await (await fetch(`${served.url}/feeds/a?x=1&token=${token}&y=2`)).text();
    await until(() => events.length === 4);
    expect(urls).toEqual(['/feeds/a?x=1&y=2']);
    expect(JSON.stringify(events)).not.toContain(token);
    expect(events.filter(({ type }) => type === 'opened' || type === 'closed')).toMatchObject([{ subject: 'ada' }, { subject: 'ada' }]);
  });

  it('end the connection when they expire, in good order, and no other', async () => {
    await start();
    const [short, long] = [await tokens.create({ feeds: '*', expiresIn: 1 }), await tokens.create({ feeds: '*' })];
    const [first, second] = [
      await Peer.get(served.port, '/feeds/a', `Authorization: Bearer ${short}`),
      await Peer.get(served.port, '/feeds/a', `Authorization: Bearer ${long}`),
    ];
    await first.closed();
    expect(first.isComplete).toBe(true);
    await until(() => served.feeds.counts().open === 1);
    expect(served.feeds.counts().closed).toMatchObject({ expired: 1 });
    await served.feeds.publish('a', 'still here');
    await second.sees('still here');
  });
});
