import { Run, type Served } from '../support/run.js';
import { platforms, publishKey } from '../support/serve.js';
import { jwtSecret, sign } from '../support/tokens.js';

const app = 'https://app.example';
const local = 'http://localhost:3000';
const bearer = `Bearer ${publishKey}`;

/** The headers of CORS in an answer. */
const corsOf = ({ headers }: Response) =>
  Object.fromEntries([...headers].filter(([name]) => name.startsWith('access-control-')).map(([name, value]) => [name.slice(15), value]));

describe.each(platforms)('the service for pages of other origins, on %s', (platform) => {
  let service: Served;
  const start = async (env: Record<string, string> = {}) => {
    service = await Run.service({
      FEED_ADAPTER: platform,
      FEED_INTERVAL_MS: '0',
      FEED_PUBLISH_KEY: publishKey,
      FEED_CORS_ORIGINS: `${app}, ${local}`,
      ...env,
    });
  };
  const ask = async (path: string, headers: Record<string, string> = {}, init: RequestInit = {}) => {
    const answer = await fetch(service.url + path, { ...init, headers });
    if (answer.headers.get('content-type')?.includes('json')) await answer.clone().text();
    else await answer.body?.cancel();
    return answer;
  };
  afterEach(() => Run.endAll());

  const exposed = 'ETag, Feed-Connection, Feed-History, Feed-Position, Retry-After, WWW-Authenticate';
  const read = (origin: string) => ({ 'allow-origin': origin, 'allow-credentials': 'true', 'expose-headers': exposed });

  it('lets those that are named read all answers, and their errors', async () => {
    await start({ FEED_JWT_SECRET: jwtSecret, FEED_MAX_CONNECTIONS: '1', FEED_BODY_BYTES: '100' });
    const token = await sign({ feeds: 'a', publish: 'a' });
    const authorization = `Bearer ${token}`;
    const cases: [number, string, Record<string, string>, RequestInit?][] = [
      [401, '/test/a', {}],
      [401, '/test/a?token=garbage', {}],
      [403, '/test/b', { authorization }],
      [404, '/nowhere', {}],
      [400, '/test/%20', { authorization }],
      [406, '/test/a', { authorization, accept: 'image/png' }],
      [201, '/test/a', { authorization, 'content-type': 'text/plain' }, { method: 'POST', body: 'x' }],
      [413, '/test/a', { authorization, 'content-type': 'text/plain' }, { method: 'POST', body: 'x'.repeat(200) }],
      [403, '/test/b', { authorization, 'content-type': 'text/plain' }, { method: 'POST', body: 'x' }],
      [204, '/test/a', { authorization }, { method: 'DELETE' }],
      [200, '/test/a?mode=once', { authorization }],
      [200, '/test/a', { authorization, accept: 'text/event-stream' }, { method: 'HEAD' }],
      [200, '/health', {}],
    ];
    for (const origin of [app, local]) {
      for (const [status, path, headers, init] of cases) {
        const answer = await ask(path, { origin, ...headers }, init);
        expect([path, answer.status, corsOf(answer), answer.headers.get('vary')]).toEqual([path, status, read(origin), 'Origin']);
      }
    }
    const feed = await fetch(`${service.url}/test/a`, { headers: { origin: app, authorization, accept: 'text/event-stream' } });
    expect([feed.status, corsOf(feed), feed.headers.has('feed-position')]).toEqual([200, read(app), true]);
    const full = await ask('/test/a', { origin: app, authorization });
    expect([full.status, corsOf(full), full.headers.has('retry-after')]).toEqual([503, read(app), true]);
    await feed.body?.cancel();
  });

  it('tells no other origin anything', async () => {
    await start();
    const preflight = { 'access-control-request-method': 'POST' };
    for (const origin of [
      'https://evil.example',
      `${app}.evil.example`,
      'http://app.example',
      `${app}:444`,
      'http://localhost:3001',
      'null',
      app.toUpperCase(),
    ]) {
      for (const [path, headers, method] of [
        ['/test/a', {}, 'HEAD'],
        ['/test/a?mode=once', {}, 'GET'],
        ['/test/a', {}, 'POST'],
        ['/nowhere', {}, 'GET'],
        ['/test/a', preflight, 'OPTIONS'],
      ] as const) {
        const answer = await ask(path, { origin, ...headers }, { method });
        expect([origin, path, corsOf(answer), answer.headers.get('vary')]).toEqual([origin, path, {}, 'Origin']);
      }
    }
    expect(corsOf(await ask('/test/a?mode=once'))).toEqual({});
    // The dashboard is for its own page.
    for (const path of ['/dashboard', '/dashboard/now', '/%64ashboard/now']) expect(corsOf(await ask(path, { origin: app }))).toEqual({});
  });

  it('answers what a browser asks before it publishes', async () => {
    await start();
    for (const [path, method] of [
      ['/test/a', 'POST'],
      ['/test', 'POST'],
      ['/test/a', 'DELETE'],
      ['/test/a', 'QUERY'],
      ['/test/a/b', 'GET'],
    ] as const) {
      const asked = 'authorization,x-feed-key,idempotency-key,last-event-id,content-type';
      const headers = { origin: app, 'access-control-request-method': method, 'access-control-request-headers': asked };
      const answer = await ask(path, headers, { method: 'OPTIONS' });
      const cors = corsOf(answer);
      expect([answer.status, cors['allow-origin'], cors['allow-credentials']]).toEqual([204, app, 'true']);
      expect(cors['allow-methods']?.split(', ')).toContain(method);
      const allowed = cors['allow-headers']?.toLowerCase().split(', ');
      for (const name of asked.split(',')) expect(allowed).toContain(name);
      expect(Number(cors['max-age'])).toBeGreaterThan(0);
    }
    // An OPTIONS that is no preflight is answered as ever.
    expect((await ask('/test/a', { origin: app }, { method: 'OPTIONS' })).status).toBe(404);
  });

  it('lets their pages publish with the cookie of a token, which other pages may not', async () => {
    await start({ FEED_JWT_SECRET: jwtSecret });
    const cookie = `feed_token=${await sign({ feeds: '*', publish: '*' })}`;
    const publish = (origin: string) =>
      ask('/test/a', { origin, cookie, 'sec-fetch-site': 'cross-site', 'content-type': 'text/plain' }, { method: 'POST', body: 'x' });
    expect((await publish(app)).status).toBe(201);
    expect((await publish('https://evil.example')).status).toBe(403);
  });

  it('is for pages of its own origin alone where none is named', async () => {
    await start({ FEED_CORS_ORIGINS: '' });
    const answer = await ask('/test/a?mode=once', { origin: app });
    expect([answer.status, corsOf(answer), answer.headers.get('vary')]).toEqual([200, {}, null]);
    const preflight = await ask('/test/a', { origin: app, 'access-control-request-method': 'POST' }, { method: 'OPTIONS' });
    expect([preflight.status, corsOf(preflight)]).toEqual([404, {}]);
  });

  it('has its key in the header for them', async () => {
    await start();
    const headers = { origin: app, authorization: bearer, 'content-type': 'text/plain' };
    expect((await ask('/test/a', headers, { method: 'POST', body: 'x' })).status).toBe(201);
  });
});
