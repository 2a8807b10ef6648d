import { Controller, Get, UnauthorizedException, UseGuards } from '@nestjs/common';
import {
  type Authorization,
  type AuthorizeFunction,
  type AuthorizeRequest,
  authorizeAt,
  Feed,
  FeedAuthGuard,
  FeedOptionsError,
} from '../../src/index.js';
import { AuthorizerServer, claims, status } from '../support/authorizer.js';
import { Peer } from '../support/peer.js';
import { asJson, closeAll, type ModuleOptions, platforms, post, publishKey, type Served, serveFeeds, until } from '../support/serve.js';
import { now } from '../support/tokens.js';

/** The ids of the requests of which feeds were asked for. */
const named: string[] = [];

@Controller('own')
class OwnController {
  @Feed('guarded/:id')
  @UseGuards(FeedAuthGuard)
  guarded() {}

  @Feed('named/:id', {
    feed: ({ params }) => {
      named.push(`${params.id}`);
      return [`orders/${params.id}`, 'news', 'news'];
    },
  })
  @UseGuards(FeedAuthGuard)
  named() {}

  @Get('plain')
  @UseGuards(FeedAuthGuard)
  plain() {
    return 'plain';
  }
}

const ada = { authorization: 'Bearer of ada' };

describe.each(platforms)('what decides in the place of tokens on %s', (platform) => {
  let served: Served;
  const start = async (authorize: AuthorizeFunction, options: ModuleOptions = {}) => {
    served = await serveFeeds(platform, { authorize, public: false, publishKey, drainMs: 0, ...options }, { controllers: [OwnController] });
  };
  const ask = async (path: string, headers: Record<string, string> = {}, method = 'GET', body?: string) => {
    const answer = await fetch(served.url + path, { method, headers, ...(body !== undefined && { body }) });
    if (answer.status === 200) await answer.body?.cancel();
    return answer;
  };
  const read = async (path: string, headers?: Record<string, string>) => (await ask(path, headers)).status;
  const publish = (path: string, headers: Record<string, string> = {}) =>
    ask(path, { 'content-type': 'text/plain', ...headers }, 'POST', 'x');
  afterEach(closeAll);

  describe('as a function', () => {
    it('is told what a request wants, and allows what it says', async () => {
      const asked: Omit<AuthorizeRequest, 'request'>[] = [];
      let answer: Authorization = true;
      await start(({ request, ...rest }) => {
        expect(request.url).toBeDefined();
        asked.push(rest);
        return answer;
      });
      const base = { authorization: undefined, cookie: undefined, method: 'GET', action: 'read' };
      const cases: [string, string, Record<string, string>, object][] = [
        ['GET', '/feeds/orders/7?x=1', ada, { ...base, ...ada, path: '/feeds/orders/7', feeds: ['orders/7'] }],
        ['HEAD', '/feeds/a', {}, { ...base, method: 'HEAD', path: '/feeds/a', feeds: ['a'] }],
        ['GET', '/feeds?id=a&id=b', { cookie: 's=1' }, { ...base, cookie: 's=1', path: '/feeds', feeds: ['a', 'b'] }],
        ['GET', '/feeds/a?token=t', {}, { ...base, authorization: 'Bearer t', path: '/feeds/a', feeds: ['a'] }],
        ['GET', '/own/guarded/1', {}, { ...base, path: '/own/guarded/1', feeds: ['own/guarded/1'] }],
        ['GET', '/own/named/1', {}, { ...base, path: '/own/named/1', feeds: ['orders/1', 'news'] }],
        ['GET', '/own/plain', {}, { ...base, path: '/own/plain', feeds: [] }],
        ['DELETE', '/feeds/a', {}, { ...base, action: 'publish', method: 'DELETE', path: '/feeds/a', feeds: ['a'] }],
      ];
      for (const [method, path, headers, expected] of cases) {
        const answer = await ask(path, headers, method);
        expect([path, answer.status, asked.pop()]).toEqual([path, method === 'DELETE' ? 204 : 200, expected]);
      }
      expect((await publish('/feeds/a')).status).toBe(201);
      expect(asked.pop()).toEqual({ ...base, action: 'publish', method: 'POST', path: '/feeds/a', feeds: ['a'] });

      // Where the feeds are in the body, `true` is about none of them.
      const many = () =>
        post(`${served.url}/feeds`, JSON.stringify({ feeds: ['a', 'b'], data: 1 }), { ...asJson, authorization: 'Bearer of ada' });
      expect((await many()).status).toBe(403);
      answer = { publish: ['a', 'b*'] };
      expect((await many()).status).toBe(201);
      expect(asked.pop()).toMatchObject({ action: 'publish', path: '/feeds', feeds: [] });
      expect(await read('/feeds/a', ada)).toBe(403);
      answer = { feeds: 'orders/*' };
      expect(await read('/feeds/orders/1')).toBe(200);
      expect(await read('/feeds/a')).toBe(403);
      expect((await publish('/feeds/orders/1')).status).toBe(403);
      // The key is nothing for others to decide.
      asked.length = 0;
      expect((await publish('/feeds/x', { authorization: `Bearer ${publishKey}` })).status).toBe(201);
      expect((await publish('/feeds/x', { 'x-feed-key': 'wrong' })).status).toBe(401);
      expect(asked).toEqual([]);
    });

    it('hears of the feeds that are then followed: a route is asked for them once a request', async () => {
      const heard: (readonly string[])[] = [];
      await start(({ feeds }) => heard.push(feeds) > 0);
      named.length = 0;
      const answer = await fetch(`${served.url}/own/named/2`);
      expect((await served.feeds.connections()).connections.map(({ feeds }) => feeds)).toEqual([['orders/2', 'news']]);
      await answer.body?.cancel();
      expect(heard).toEqual([['orders/2', 'news']]);
      expect((await ask('/own/named/~!')).status).toBe(400);
      expect(named).toEqual(['2', '~!']);
    });

    it.each<[string, Authorization | Error, number, string]>([
      ['false', false, 403, 'FEED_FORBIDDEN'],
      ['nothing', undefined, 403, 'FEED_FORBIDDEN'],
      ['claims that are over', { feeds: '*', exp: now() - 1 }, 401, 'FEED_UNAUTHORIZED'],
      ['an error', new Error('it fails'), 503, 'FEED_UNAVAILABLE'],
      ['no claims', { feeds: 7 } as never, 503, 'FEED_UNAVAILABLE'],
      ['an object that is none', { allowed: false } as never, 503, 'FEED_UNAVAILABLE'],
      ['text', 'yes' as never, 503, 'FEED_UNAVAILABLE'],
      ['an array', [] as never, 503, 'FEED_UNAVAILABLE'],
    ])('refuses with %s', async (_, answer, code, error) => {
      await start(async () => {
        if (answer instanceof Error) throw answer;
        return answer;
      });
      const refused = await ask('/feeds/a', ada);
      expect([refused.status, await refused.json()]).toEqual([
        code,
        expect.objectContaining({ code: error, message: expect.not.stringMatching('fails') }),
      ]);
      expect(refused.headers.get('retry-after')).toBe(code === 503 ? '5' : null);
      if (code === 403) expect((await ask('/feeds/a')).headers.get('www-authenticate')).toBe('Bearer realm="feeds"');
    });

    it('answers with what it throws as an answer', async () => {
      await start(() => {
        throw new UnauthorizedException({ code: 'OURS' });
      });
      const answer = await ask('/feeds/a');
      expect([answer.status, await answer.json()]).toEqual([401, { code: 'OURS' }]);
    });

    it('is asked for feeds alone that not everybody may read', async () => {
      let asked = 0;
      await start(() => ++asked < 0, { public: true, rules: { 'closed/*': { read: 'token' } } });
      expect(await read('/feeds/closed/1', ada)).toBe(403);
      expect(asked).toBe(1);
      expect(await read('/feeds/open', ada)).toBe(200);
      expect((await publish('/feeds/open', ada)).status).toBe(403);
    });

    it('does not get the cookie of a user whose browser another site has sent', async () => {
      const cookies: (string | undefined)[] = [];
      await start(
        ({ cookie }) => {
          cookies.push(cookie);
          return true;
        },
        { trustedOrigins: ['https://app.example'] },
      );
      const evil = { cookie: 's=1', origin: 'https://evil.example' };
      const forged = await publish('/feeds/a', evil);
      expect([forged.status, ((await forged.json()) as Error).message]).toEqual([
        403,
        "A page of another site cannot publish with this site's cookie.",
      ]);
      expect((await publish('/feeds/a', { ...evil, ...ada })).status).toBe(201);
      expect((await publish('/feeds/a', { ...evil, origin: 'https://app.example' })).status).toBe(201);
      expect(await read('/feeds/a', evil)).toBe(200);
      expect(cookies).toEqual([undefined, 's=1', 's=1']);
    });

    it('ends connections at the time that it says, and counts them for the client that it names', async () => {
      await start(() => ({ feeds: '*', sub: 'ada', exp: now() + 2 }), { maxConnectionsPerClient: 1 });
      const peer = await Peer.get(served.port, '/feeds/a');
      await until(() => served.feeds.counts().open === 1);
      expect(await read('/feeds/a')).toBe(429);
      await peer.closed();
      await until(() => served.feeds.counts().closed.expired === 1);
    });
  });

  it('is overruled by a revocation', async () => {
    await start(() => ({ sub: 'ada', jti: '1', feeds: '*' }));
    const peer = await Peer.get(served.port, '/feeds/a');
    await until(() => served.feeds.counts().open === 1);
    await served.feeds.revoke({ subject: 'ada', until: Date.now() + 60_000 });
    await peer.closed();
    expect(await read('/feeds/a')).toBe(403);
  });

  describe('as another service', () => {
    it('is asked with what the request came with, and only what it allows is open', async () => {
      const authorizer = await AuthorizerServer.start();
      await start(authorizeAt(authorizer.url));
      expect(await read('/feeds/orders/7?since=latest', { ...ada, cookie: 's=1', 'x-other': 'no' })).toBe(200);
      const [asked] = authorizer.asked;
      expect(asked).toMatchObject({
        method: 'POST',
        url: '/authorize?key=hush',
        headers: { ...ada, cookie: 's=1', 'content-type': 'application/json' },
        body: { action: 'read', feeds: ['orders/7'], method: 'GET', path: '/feeds/orders/7' },
      });
      expect(asked?.headers).not.toHaveProperty('x-other');
      expect(await read('/feeds/a?token=t')).toBe(200);
      expect(authorizer.asked[1]?.headers.authorization).toBe('Bearer t');
      expect(JSON.stringify(authorizer.asked[1]?.body)).not.toContain('token');

      authorizer.answer = status(401);
      const unknown = await ask('/feeds/a');
      expect([unknown.status, unknown.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="feeds"']);
      expect((await ask('/feeds/a', ada)).headers.get('www-authenticate')).toBe('Bearer realm="feeds", error="invalid_token"');
      authorizer.answer = status(403);
      expect([await read('/feeds/a', ada), (await publish('/feeds/a', ada)).status]).toEqual([403, 403]);
      authorizer.answer = claims({ sub: 'ada', feeds: ['orders/*'], publish: 'orders/1', exp: now() + 60 });
      expect([await read('/feeds/orders/1', ada), await read('/feeds/a', ada)]).toEqual([200, 403]);
      expect([(await publish('/feeds/orders/1', ada)).status, (await publish('/feeds/orders/2', ada)).status]).toEqual([201, 403]);
      // Without feeds, they are those of the request.
      authorizer.answer = claims({ sub: 'ada', info: { name: 'Ada' } });
      expect([await read('/feeds/orders/1', ada), await read('/feeds?id=a&id=b', ada), (await publish('/feeds/a', ada)).status]).toEqual([
        200, 200, 201,
      ]);
      // A wrong id is no question.
      authorizer.asked.length = 0;
      expect(await read('/feeds/%20', ada)).toBe(400);
      expect(authorizer.asked).toEqual([]);
    });

    it('is asked once for as long as it says', async () => {
      const authorizer = await AuthorizerServer.start(claims({ feeds: '*' }, { 'cache-control': 'private, max-age=60' }));
      await start(authorizeAt(authorizer.url));
      const count = async (path: string, headers = ada) => {
        const before = authorizer.asked.length;
        expect((await ask(path, headers)).status).not.toBe(503);
        return authorizer.asked.length - before;
      };
      expect([await count('/feeds/a'), await count('/feeds/a')]).toEqual([1, 0]);
      // Another feed, other credentials, another action.
      expect([await count('/feeds/b'), await count('/feeds/a', { authorization: 'Bearer of bob' })]).toEqual([1, 1]);
      await publish('/feeds/a', ada);
      expect(authorizer.asked.at(-1)?.body.action).toBe('publish');
      for (const [n, control] of [
        'no-store',
        'no-store, max-age=60',
        'no-cache, max-age=60',
        'max-age=0',
        'public',
        'max-age=x',
        '',
      ].entries()) {
        authorizer.answer = claims({ feeds: '*' }, { 'cache-control': control });
        expect([control, await count(`/feeds/x${n}`), await count(`/feeds/x${n}`)]).toEqual([control, 1, 1]);
      }
      authorizer.answer = claims({ feeds: '*' }, { 'cache-control': 'max-age=60', age: '60' });
      expect([await count('/feeds/aged'), await count('/feeds/aged')]).toEqual([1, 1]);
      authorizer.answer = status(403, { 'cache-control': 'max-age=60' });
      expect([await count('/feeds/refused'), await count('/feeds/refused')]).toEqual([1, 0]);
      expect(await read('/feeds/refused', ada)).toBe(403);
      // What is over is not used any more.
      const exp = now() + 2;
      authorizer.answer = claims({ feeds: '*', exp }, { 'cache-control': 'max-age=60' });
      expect([await count('/feeds/over'), await count('/feeds/over')]).toEqual([1, 0]);
      await until(() => Date.now() > exp * 1000);
      expect(await count('/feeds/over')).toBe(1);
      expect(await read('/feeds/over', ada)).toBe(401);
    });

    it('is asked once by all that come at the same moment, where its answer is for all', async () => {
      const authorizer = await AuthorizerServer.start(claims({ feeds: '*' }, { 'cache-control': 'max-age=60' }));
      await start(authorizeAt(authorizer.url));
      const all = (path: string) => Promise.all(Array.from({ length: 20 }, () => read(path, ada)));
      expect(new Set(await all('/feeds/a'))).toEqual(new Set([200]));
      expect(authorizer.asked).toHaveLength(1);
      authorizer.answer = claims({ feeds: '*' });
      expect(new Set(await all('/feeds/b'))).toEqual(new Set([200]));
      expect(authorizer.asked).toHaveLength(21);
    });

    it.each<[string, AuthorizerServer['answer']]>([
      ['500', status(500)],
      ['404', status(404)],
      ['429', status(429, { 'retry-after': '1' })],
      ['a redirect, which it does not follow', (_, response) => response.writeHead(302, { location: '/allowed' }).end()],
      ['a page', (_, response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Sign in')],
      ['JSON that is no object', (_, response) => response.end('true')],
      ['JSON that is no grant', claims({ feeds: { all: true } })],
      ['JSON of something else', claims({ allowed: false })],
      [
        'half an answer',
        (_, response) => response.writeHead(200, { 'content-length': '100' }).write('{"feeds":"*"', () => response.destroy()),
      ],
      ['too much', (_, response) => response.end(JSON.stringify({ feeds: 'x'.repeat(100_000) }))],
      ['a closed connection', (_, response) => response.destroy()],
      ['silence', () => {}],
      ['a body that does not end', (_, response) => response.writeHead(200).write('{')],
    ])('opens nothing where the answer is %s', async (_, answer) => {
      const authorizer = await AuthorizerServer.start(answer);
      await start(authorizeAt(authorizer.url, { timeoutMs: 200 }));
      const refused = await ask('/feeds/a', ada);
      expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5']);
      expect(await refused.json()).toMatchObject({ code: 'FEED_UNAVAILABLE', message: expect.not.stringContaining('127.0.0.1') });
      expect(served.feeds.counts().opened).toBe(0);
    });

    it('opens nothing where it cannot be reached, is left alone for a while then, and is asked again', async () => {
      const authorizer = await AuthorizerServer.start(status(500));
      await start(authorizeAt(authorizer.url));
      for (let n = 0; n < 5; n += 1) expect(await read(`/feeds/${n}`, ada)).toBe(503);
      authorizer.answer = status(204);
      for (let n = 0; n < 5; n += 1) {
        const refused = await ask('/feeds/a', ada);
        expect([refused.status, Number(refused.headers.get('retry-after')) <= 5]).toEqual([503, true]);
      }
      expect(authorizer.asked).toHaveLength(5);
      const { now } = performance;
      performance.now = () => now.call(performance) + 5000;
      try {
        // One question shows how it is: the others do not wait for it.
        authorizer.answer = status(500);
        expect([await read('/feeds/a', ada), await read('/feeds/a', ada)]).toEqual([503, 503]);
        expect(authorizer.asked).toHaveLength(6);
        performance.now = () => now.call(performance) + 10_000;
        authorizer.answer = status(204);
        expect([await read('/feeds/a', ada), await read('/feeds/a', ada)]).toEqual([200, 200]);
      } finally {
        performance.now = now;
      }
      await closeAll();
      await start(authorizeAt('http://127.0.0.1:1/'));
      expect(await read('/feeds/a', ada)).toBe(503);
    });

    it.each([
      [400, 401],
      [413, 401],
      [414, 401],
      [431, 401],
      [404, 503],
      [302, 503],
    ])('is asked on, whatever it refuses by %i: that request gets %i', async (code, refused) => {
      const authorizer = await AuthorizerServer.start((asked, response) => {
        response.writeHead(asked.headers.cookie === undefined ? 204 : code).end();
      });
      await start(authorizeAt(authorizer.url));
      for (let n = 0; n < 10; n += 1) expect(await read(`/feeds/${n}`, { cookie: 's=1' })).toBe(refused);
      expect(authorizer.asked).toHaveLength(10);
      expect(await read('/feeds/a', ada)).toBe(200);
    });

    it.each([['?token=%E2%82%AC'], ['?token=a%0D%0Ab'], ['?token=a%00']])('is not asked about what is no token: %s', async (query) => {
      const authorizer = await AuthorizerServer.start();
      await start(authorizeAt(authorizer.url));
      for (let n = 0; n < 6; n += 1) expect(await read(`/feeds/a${query}`)).toBe(401);
      expect(authorizer.asked).toEqual([]);
      expect(await read('/feeds/a', ada)).toBe(200);
    });

    it('stays open to all when it cannot take the cookie of one', async () => {
      // Node's own limit of a head, which what is forwarded exceeds.
      const authorizer = await AuthorizerServer.start();
      await start(authorizeAt(authorizer.url));
      const cookie = `s=${'x'.repeat(16_230)}`;
      for (let n = 0; n < 6; n += 1) {
        const peer = await Peer.get(served.port, `/feeds/${n}`, `Cookie: ${cookie}`);
        await peer.sees('\r\n\r\n');
        expect(peer.status).toBe(401);
      }
      expect(authorizer.asked).toEqual([]);
      expect(await read('/feeds/a', ada)).toBe(200);
    });

    it('may allow an operator, and nothing more', async () => {
      const authorizer = await AuthorizerServer.start(claims({ admin: true }));
      await start(authorizeAt(authorizer.url));
      expect(await read('/feeds/a', ada)).toBe(200);
      authorizer.answer = claims({ admin: false });
      expect(await read('/feeds/a', ada)).toBe(503);
    });

    it('may close idle connections', async () => {
      const authorizer = await AuthorizerServer.start();
      await start(authorizeAt(authorizer.url));
      for (let n = 0; n < 3; n += 1) {
        let isFirst = true;
        authorizer.answer = (_, response) => {
          // As one that is closed while the question is on its way.
          if (isFirst) response.destroy();
          else response.writeHead(204).end();
          isFirst = false;
        };
        expect(await read(`/feeds/${n}`, ada)).toBe(200);
      }
    });

    it('gets a bounded number of questions at a time', async () => {
      let [open, most] = [0, 0];
      const waiting: (() => void)[] = [];
      const authorizer = await AuthorizerServer.start((_, response) => {
        open += 1;
        most = Math.max(most, open);
        waiting.push(() => {
          open -= 1;
          response.writeHead(204).end();
        });
      });
      await start(authorizeAt(authorizer.url, { timeoutMs: 20_000 }));
      const answers = Array.from({ length: 100 }, (_, n) => read(`/feeds/${n}`, ada));
      await until(() => waiting.length === 64);
      await until(() => {
        waiting.shift()?.();
        return authorizer.asked.length === 100;
      });
      for (const answer of waiting) answer();
      expect(new Set(await Promise.all(answers))).toEqual(new Set([200]));
      expect(most).toBe(64);
    });
  });
});

it.each(['', 'auth.example', 'ftp://auth.example', 'https://user:password@auth.example', 7])('authorizeAt() refuses %j', (url) => {
  expect(() => authorizeAt(url as string)).toThrow(FeedOptionsError);
});

it('authorizeAt() refuses an option that is wrong', () => {
  expect(() => authorizeAt('http://a/', { timeoutMs: 0 })).toThrow(
    /authorizeAt\(\)'s option "timeoutMs" must be 1 or more milliseconds, not 0/,
  );
});
