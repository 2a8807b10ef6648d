import { Controller, UseGuards } from '@nestjs/common';
import { TokenGrant } from '../../src/feed/auth/grant.js';
import { Feed, FeedAuthGuard, type FeedEvent, FeedTokenService } from '../../src/index.js';
import { atEnd } from '../support/ends.js';
import { collectGarbage } from '../support/garbage.js';
import { Peer } from '../support/peer.js';
import {
  asJson,
  closeAll,
  follow,
  type ModuleOptions,
  platforms,
  post,
  publishKey,
  type Served,
  serveFeeds,
  until,
} from '../support/serve.js';
import { bytes, jwtSecret, sign } from '../support/tokens.js';

@Controller('own')
class OwnController {
  @Feed('guarded/:id')
  @UseGuards(FeedAuthGuard)
  guarded() {}

  @Feed('open')
  open() {}
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const cookie = (token: string) => ({ cookie: `a=b; feed_token=${token}` });
const otherSite = { origin: 'https://evil.example' };

describe.each(platforms)('tokens on %s', (platform) => {
  let served: Served;
  let tokens: FeedTokenService;
  const start = async (options: ModuleOptions = {}) => {
    served = await serveFeeds(platform, { jwtSecret, publishKey, ...options }, { controllers: [OwnController] });
    tokens = served.app.get(FeedTokenService, { strict: false });
  };
  /** What is answered; a feed is left at once. */
  const ask = async (method: string, path: string, headers: Record<string, string> = {}) => {
    const content = method === 'POST' && { body: 'x', headers: { 'content-type': 'text/plain', ...headers } };
    const answer = await fetch(served.url + path, { method, headers, ...content });
    if (answer.status === 200) await answer.body?.cancel();
    return answer;
  };
  const read = async (path: string, headers?: Record<string, string>) => (await ask('GET', path, headers)).status;
  const publish = async (path: string, headers?: Record<string, string>) => (await ask('POST', path, headers)).status;

  afterEach(closeAll);

  it('are not held by the connections that they opened', async () => {
    await start();
    const header = `Authorization: Bearer ${await tokens.create({ feeds: Array.from({ length: 500 }, (_, n) => `a${n}`) })}`;
    const grants: WeakRef<TokenGrant>[] = [];
    const { from } = TokenGrant;
    atEnd(() => Object.assign(TokenGrant, { from }));
    TokenGrant.from = (claims) => {
      const grant = from(claims);
      grants.push(new WeakRef(grant));
      return grant;
    };
    for (let n = 0; n < 20; n += 1) await follow(served, `/feeds/a${n}`, header);
    expect(served.feeds.counts().open).toBe(20);
    expect(grants).toHaveLength(20);
    // Those of the last requests may be on Node's stack.
    await until(() => {
      collectGarbage();
      return grants.filter((grant) => grant.deref()).length < 3;
    });
  });

  it('decide who reads which feeds', async () => {
    await start();
    const token = await tokens.create({ feeds: ['orders/*', 'news'] });
    for (const path of ['/feeds/news', '/feeds/orders/1', '/feeds/orders%2F1', '/feeds/orders/1/2', '/feeds?id=news&id=orders/9']) {
      expect([path, await read(path, bearer(token))]).toEqual([path, 200]);
      expect([path, await read(`${path}${path.includes('?') ? '&' : '?'}token=${token}`)]).toEqual([path, 200]);
      expect([path, await read(path, cookie(token))]).toEqual([path, 200]);
    }
    expect((await ask('HEAD', '/feeds/news', bearer(token))).status).toBe(200);
    expect((await ask('HEAD', '/feeds/news')).status).toBe(401);
    // An id that is followed is answered as one that nobody has ever heard of.
    await served.feeds.publish('secret', 1);
    for (const [path, feed] of [
      ['/feeds/secret', 'secret'],
      ['/feeds/unheard-of', 'unheard-of'],
      ['/feeds/news/1', 'news/1'],
      ['/feeds?id=news&id=secret', 'secret'],
    ] as const) {
      const answer = await ask('GET', path, bearer(token));
      expect([path, answer.status]).toEqual([path, 403]);
      const message = `The token does not grant reading the feed "${feed}".`;
      expect(await answer.json()).toEqual({ statusCode: 403, error: 'Forbidden', code: 'FEED_FORBIDDEN', message, feed });
    }
  });

  it('come once in a URL, whatever else a request has, and whoever may read the feed', async () => {
    await start({ rules: { 'open/*': { read: 'public' } } });
    const token = await tokens.create({ feeds: '*', publish: '*' });
    const twice = `?token=${token}&token=${token}`;
    for (const [method, path, headers] of [
      ['GET', `/feeds/news${twice}`, {}],
      ['GET', `/feeds/news${twice}`, bearer(token)],
      ['GET', '/feeds/open/1?token&token', {}],
      ['HEAD', `/feeds/open/1${twice}`, {}],
      ['GET', `/own/guarded/1${twice}`, {}],
      ['POST', `/feeds/news${twice}`, {}],
    ] as const) {
      const answer = await ask(method, path, headers);
      expect([method, path, answer.status]).toEqual([method, path, 400]);
      if (method !== 'HEAD') expect(await answer.json()).toMatchObject({ code: 'FEED_QUERY', message: 'Give token once.' });
    }
    expect(await read(`/own/open${twice}`)).toBe(200); // it looks for none
  });

  it('decide who publishes where', async () => {
    await start();
    const token = bearer(await tokens.create({ feeds: 'news', publish: ['news', 'drafts/*'] }));
    const many = async (feeds: string[]) =>
      (await post(`${served.url}/feeds`, JSON.stringify({ feeds, data: 1 }), { ...asJson, ...token })).status;
    expect(await publish('/feeds/news', token)).toBe(201);
    expect(await publish('/feeds/drafts/1', token)).toBe(201);
    expect(await publish('/feeds/other', token)).toBe(403);
    expect(await read('/feeds/drafts/1', token)).toBe(403);
    expect(await many(['news', 'drafts/2'])).toBe(201);
    expect(await many(['news', 'other'])).toBe(403);
    expect(await publish('/feeds/news', bearer(await tokens.create({ feeds: '*' })))).toBe(403);
    expect(await publish('/feeds/other', bearer(publishKey))).toBe(201);
    expect(await read('/feeds/other', bearer(publishKey))).toBe(200);
  });

  const noKey = { publishKey: undefined, jwtSecret: undefined };
  const onlyKey = { jwtSecret: undefined, public: false };
  const missing = 'Bearer realm="feeds"';
  const invalid = 'Bearer realm="feeds", error="invalid_token"';
  const [reading, publishing] = ['Reading', 'Publishing'].map((what) => `${what} needs the publish key or a token.`) as [string, string];
  const notValid = 'The token is not valid.';

  it.each<[ModuleOptions, string, string, Record<string, string>, string, string]>([
    [{ ...noKey, public: false, path: undefined }, 'GET', '/own/guarded/1', {}, reading, missing],
    [noKey, 'POST', '/feeds/1', bearer('undefined'), publishing, invalid],
    [onlyKey, 'GET', '/feeds/1', {}, reading, missing],
    [onlyKey, 'POST', '/feeds/1', bearer(`${publishKey}x`), publishing, invalid],
    [onlyKey, 'POST', '/feeds/1', bearer(publishKey.slice(1)), publishing, invalid],
    [{}, 'GET', '/feeds/1', {}, reading, missing],
    [{}, 'GET', '/feeds/1', bearer(''), reading, missing],
    [{}, 'GET', '/feeds/1?token=', {}, reading, missing],
    [{}, 'GET', '/feeds/1', bearer('garbage'), notValid, invalid],
    [{}, 'GET', '/feeds/1?token=garbage', {}, notValid, invalid],
    [{}, 'POST', '/feeds/1', {}, publishing, missing],
    [{}, 'POST', '/feeds', {}, publishing, missing],
    [{}, 'POST', '/feeds/1', { authorization: `Basic ${publishKey}` }, publishing, missing],
    // The key counts in the header only.
    [{}, 'POST', '/feeds/1', cookie(publishKey), notValid, invalid],
    [{}, 'POST', `/feeds/1?token=${publishKey}`, {}, notValid, invalid],
  ])('are asked for: with %j, %s %s with %j is answered with 401', async (options, method, path, headers, message, challenge) => {
    await start(options);
    const answer = await ask(method, path, headers);
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, challenge]);
    expect(await answer.json()).toEqual({ statusCode: 401, error: 'Unauthorized', code: 'FEED_UNAUTHORIZED', message });
    expect(served.feeds.counts()).toMatchObject({ opened: 0, messages: 0 });
  });

  it('are not asked for where reading is public, and on routes without the guard', async () => {
    await start({ public: true });
    expect(await read('/feeds/1', bearer('whatever'))).toBe(200);
    expect(await publish('/feeds/1')).toBe(401);
    await start();
    expect(await read('/own/open')).toBe(200);
  });

  it('and keys may be of several secrets at once, while one takes the place of another', async () => {
    const [next, other] = ['next', 'other'].map((name) => `${name} ${jwtSecret}`) as [string, string];
    await start({ jwtSecret: [next, jwtSecret], publishKey: ['new-key', publishKey] });
    const signed = (secret: string) => sign({ feeds: '*', publish: '*' }, { key: bytes(secret) });
    for (const valid of [await signed(next), await signed(jwtSecret), 'new-key', publishKey]) {
      expect(await read('/feeds/1', bearer(valid))).toBe(200);
      expect(await publish('/feeds/1', bearer(valid))).toBe(201);
    }
    for (const wrong of [await signed(other), 'new-keya-key', 'new-key,a-key']) expect(await read('/feeds/1', bearer(wrong))).toBe(401);
    // The first signs.
    expect(await read('/feeds/1', bearer(await tokens.create({ feeds: '*' })))).toBe(200);
    await start({ jwtSecret: next, publishKey: 'new-key' });
    expect(await read('/feeds/1', bearer(await tokens.create({ feeds: '*' })))).toBe(200);
    expect(await read('/feeds/1', bearer(await signed(jwtSecret)))).toBe(401);
    expect(await publish('/feeds/1', bearer(publishKey))).toBe(401);
  });

  it('come in the cookie that the options name', async () => {
    await start({ tokenCookie: '__Host-t' });
    const token = await tokens.create({ feeds: '*' });
    expect(await read('/feeds/1', { cookie: `__Host-t=${token}` })).toBe(200);
    expect(await read('/feeds/1', cookie(token))).toBe(401);
  });

  it('in a cookie do not publish for the page of another site', async () => {
    await start();
    const token = await tokens.create({ feeds: '*', publish: '*' });
    expect(await publish('/feeds/1', cookie(token))).toBe(201);
    const forged = await ask('POST', '/feeds/1', { ...cookie(token), ...otherSite });
    expect(forged.status).toBe(403);
    expect(await forged.json()).toMatchObject({ code: 'FEED_FORBIDDEN', message: expect.stringContaining('another site') });
    expect(await publish('/feeds/1', { ...bearer(token), ...otherSite })).toBe(201);
    expect(await publish(`/feeds/1?token=${token}`, otherSite)).toBe(201);
    expect(await read('/feeds/1', { ...cookie(token), ...otherSite })).toBe(200);
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
    expect(await read('/own/guarded/1', bearer(await tokens.create({ feeds: 'own/guarded/*' })))).toBe(200);
    expect(await read('/own/guarded/1', bearer(await tokens.create({ feeds: 'own/guarded/2' })))).toBe(403);
  });
});
