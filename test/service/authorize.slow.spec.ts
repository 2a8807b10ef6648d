import { missing } from '../../tools/engines.mjs';
import { AuthorizerServer, claims, status } from '../support/authorizer.js';
import { startEngine } from '../support/brokers.js';
import { Run, type Served } from '../support/run.js';
import { platforms, publishKey, until } from '../support/serve.js';
import { jwtSecret, sign } from '../support/tokens.js';

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const [next, old] = ['n'.repeat(32), 'o'.repeat(32)] as const;
const bytes = (secret: string) => new TextEncoder().encode(secret);

afterEach(() => Run.endAll());

const ask = async ({ url }: Served, path: string, headers: Record<string, string> = {}, init: RequestInit = {}) => {
  const answer = await fetch(url + path, { ...init, headers: { connection: 'close', ...headers } });
  if (answer.status === 200) await answer.body?.cancel();
  return answer;
};
const publish = async (service: Served, headers: Record<string, string>) =>
  (await ask(service, '/test/a', { 'content-type': 'text/plain', ...headers }, { method: 'POST', body: 'x' })).status;

describe.each(platforms)('the service on %s', (platform) => {
  const start = (env: Record<string, string>) =>
    Run.service({ FEED_ADAPTER: platform, FEED_INTERVAL_MS: '0', FEED_DASHBOARD: 'off', FEED_PUBLISH_KEY: publishKey, ...env });

  it('has another service decide, and is closed while that does not answer', async () => {
    const authorizer = await AuthorizerServer.start();
    const service = await start({ FEED_AUTHORIZE_URL: authorizer.url, FEED_AUTHORIZE_TIMEOUT_MS: '2000' });
    expect((await ask(service, '/test/a', { cookie: 's=1' })).status).toBe(200);
    expect(authorizer.asked[0]).toMatchObject({ headers: { cookie: 's=1' }, body: { action: 'read', feeds: ['a'], path: '/test/a' } });
    authorizer.answer = status(401);
    expect((await ask(service, '/test/a')).status).toBe(401);
    authorizer.answer = claims({ publish: 'a' });
    expect([await publish(service, bearer('x')), (await ask(service, '/test/a')).status]).toEqual([201, 403]);
    authorizer.answer = () => {};
    const closed = await ask(service, '/test/a');
    expect([closed.status, closed.headers.get('retry-after')]).toEqual([503, '5']);
    expect(await publish(service, bearer('x'))).toBe(503);
    expect(await publish(service, bearer(publishKey))).toBe(201);
    // Once, and without what is secret in the URL.
    await until(() => service.err.includes('does not authorize requests'));
    expect(service.err.match(/does not authorize requests/g)).toHaveLength(1);
    expect(service.err).toMatch(
      /http:\/\/127\.0\.0\.1:\d+\/authorize does not authorize requests, which are rejected until it does: no answer within 2000 ms/,
    );
    expect(service.err).not.toContain('hush');
    authorizer.answer = status(204);
    expect((await ask(service, '/test/a')).status).toBe(200);
    await until(() => service.out.includes('authorizes requests again'));
  });

  it('starts where what decides cannot be reached, and is closed then', async () => {
    const service = await start({ FEED_AUTHORIZE_URL: 'http://127.0.0.1:1/authorize' });
    expect((await ask(service, '/test/a')).status).toBe(503);
    expect((await ask(service, '/health/ready')).status).toBe(200);
  });

  it('takes several secrets and keys, and issues tickets', async () => {
    const secrets = { FEED_PUBLISH_KEY: '', FEED_PUBLISH_KEYS: 'new-key, old-key', FEED_JWT_SECRETS: `${next},${old}` };
    const service = await start({ ...secrets, FEED_TICKETS: 'on', FEED_TOKEN_IN_QUERY: 'off' });
    for (const key of ['new-key', 'old-key']) expect(await publish(service, bearer(key))).toBe(201);
    expect(await publish(service, bearer('new-key, old-key'))).toBe(401);
    for (const secret of [next, old]) {
      const token = await sign({ feeds: 'a' }, { key: bytes(secret) });
      expect((await ask(service, '/test/a', bearer(token))).status).toBe(200);
      expect((await ask(service, `/test/a?token=${token}`)).status).toBe(401);
      const { ticket } = (await (await ask(service, '/tickets', bearer(token), { method: 'POST' })).json()) as { ticket: string };
      expect([(await ask(service, `/test/a?ticket=${ticket}`)).status, (await ask(service, `/test/a?ticket=${ticket}`)).status]).toEqual([
        200, 401,
      ]);
      for (const secret of [token, ticket]) expect(service.out + service.err).not.toContain(secret);
    }
    expect(service.out).not.toContain('publish:'); // no key was generated
  });

  it('has no tickets unless they are asked for', async () => {
    const service = await start({ FEED_JWT_SECRET: jwtSecret });
    expect((await ask(service, '/tickets', bearer(await sign()), { method: 'POST' })).status).toBe(404);
  });
});

(missing().includes('redis-server') ? it.skip : it)('a ticket opens one connection of all workers', async () => {
  const { url } = await startEngine('redis');
  const env = {
    WORKERS: '2',
    FEED_BROKER: url,
    FEED_JWT_SECRET: jwtSecret,
    FEED_TICKETS: 'on',
    FEED_INTERVAL_MS: '0',
    FEED_DASHBOARD: 'off',
  };
  const service = await Run.service(env);
  const { ticket } = (await (await ask(service, '/tickets', bearer(await sign()), { method: 'POST' })).json()) as { ticket: string };
  const all = await Promise.all(Array.from({ length: 20 }, async () => (await ask(service, `/test/a?ticket=${ticket}`)).status));
  expect(all.sort()).toEqual([200, ...Array(19).fill(401)]);
  // The generated key is that of all workers.
  const [, key = ''] = /Bearer (\S+)'/.exec(service.out) ?? [];
  const published = await Promise.all(Array.from({ length: 10 }, () => publish(service, bearer(key))));
  expect(new Set(published)).toEqual(new Set([201]));
});
