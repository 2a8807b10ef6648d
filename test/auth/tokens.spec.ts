import { Controller, UseGuards } from '@nestjs/common';
import { Feed, FeedAuthGuard, type FeedEvent, FeedTokenService } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { closeAll, follow, type ModuleOptions, platforms, publishKey, type Served, serveFeeds, until } from '../support/serve.js';

@Controller('own')
class OwnController {
  @Feed('guarded/:id')
  @UseGuards(FeedAuthGuard)
  guarded() {}
}

describe.each(platforms)('tokens on %s', (platform) => {
  const jwtSecret = 'a secret of more than 32 bytes, as it should be';
  let served: Served;
  let tokens: FeedTokenService;
  const start = async (options: ModuleOptions = {}) => {
    served = await serveFeeds(platform, { jwtSecret, publishKey, ...options }, { controllers: [OwnController] });
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

  afterEach(closeAll);

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
    expect(await status('/feeds/other', publishKey, post)).toBe(201);
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

  it('a connection does not end before its token expires, also where others are connected', async () => {
    await start({ heartbeatMs: 0, stallMs: 0 });
    const ended: FeedEvent[] = [];
    served.feeds.events$.subscribe((event) => event.type === 'closed' && ended.push(event));
    await follow(served, '/feeds/a', `Authorization: Bearer ${await tokens.create({ feeds: '*' })}`);
    const token = await tokens.create({ feeds: '*', expiresIn: 1 });
    const { exp } = JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString());
    for (let n = 0; n < 5; n += 1) await follow(served, '/feeds/a', `Authorization: Bearer ${token}`);
    await until(() => ended.length === 5);
    for (const event of ended) {
      expect(event).toMatchObject({ reason: 'expired' });
      expect(event.time).toBeGreaterThanOrEqual(exp * 1000);
    }
  });

  it('the feeds of a token apply to a guarded route of the application as well', async () => {
    await start();
    expect(await status('/own/guarded/1', await tokens.create({ feeds: 'own/guarded/*' }))).toBe(200);
    expect(await status('/own/guarded/1', await tokens.create({ feeds: 'own/guarded/2' }))).toBe(403);
  });
});
