import { AdminModule, type AdminOptions } from '../../src/admin/index.js';
import type { ConnectionPage, EndedCount } from '../../src/index.js';
import { admin, adminKey } from '../support/admin.js';
import { asJson, closeAll, feedModule, follow, type ModuleOptions, platforms, publishKey, serve } from '../support/serve.js';
import { jwtSecret, sign } from '../support/tokens.js';

describe.each(platforms)('the routes of operators on %s', (platform) => {
  afterEach(closeAll);

  const start = (options: ModuleOptions = {}, forOperators: AdminOptions = { key: adminKey }) =>
    serve(platform, { imports: [feedModule({ nodeName: 'n', ...options }), AdminModule.forRoot(forOperators)] });
  const idsOf = ({ connections }: ConnectionPage) => connections.map(({ id }) => id);

  it('list connections, by what they have, page by page', async () => {
    const served = await start();
    for (const feed of ['a', 'a', 'b/c']) await follow(served, `/feeds/${feed}`, 'User-Agent: tester');
    const all = await admin<ConnectionPage>(served, '/connections');
    expect([all.status, all.headers.get('cache-control'), idsOf(all.body), all.body.missing]).toEqual([
      200,
      'no-store',
      ['n-1', 'n-2', 'n-3'],
      [],
    ]);
    expect(all.body.connections[2]).toMatchObject({ node: 'n', feeds: ['b/c'], address: '127.0.0.1', userAgent: 'tester' });
    const found = async (query: string) => idsOf((await admin<ConnectionPage>(served, `/connections?${query}`)).body);
    expect(await found('feed=b%2Fc')).toEqual(['n-3']);
    expect(await found('connection=n-2')).toEqual(['n-2']);
    expect(await found('address=127.0.0.1&node=n&scope=node')).toHaveLength(3);
    expect(await found('subject=alice')).toEqual([]);
    const first = await admin<ConnectionPage>(served, '/connections?limit=2');
    expect([idsOf(first.body), first.body.next]).toEqual([['n-1', 'n-2'], 'n-2']);
    const second = await admin<ConnectionPage>(served, '/connections?limit=2&after=n-2');
    expect([idsOf(second.body), second.body.next]).toEqual([['n-3'], undefined]);
    expect(await found('state=ended')).toEqual([]);
  });

  it('end connections, whose clients are told why', async () => {
    const served = await start({ jwtSecret, public: false });
    const token = await sign({ sub: 'alice', feeds: ['*'], jti: 't1' });
    const other = await follow(served, '/feeds/a', `Authorization: Bearer ${await sign({ sub: 'bob', feeds: ['*'] })}`);
    const peer = await follow(served, '/feeds/a?format=sse', `Authorization: Bearer ${token}`);
    const answer = await admin<EndedCount>(served, 'DELETE /connections?subject=alice&feed=a&reason=enough&reconnect=false');
    expect([answer.status, answer.body]).toEqual([200, { ended: 1, nodes: [{ name: 'n', ended: 1 }], missing: [] }]);
    await peer.sees('"message":"enough"');
    await peer.closed();
    expect(other.socket.destroyed).toBe(false);
    expect((await admin(served, 'DELETE /connections?connection=n-1')).body).toMatchObject({ ended: 1 });
    await other.closed();
    expect((await admin(served, 'DELETE /connections?token=t1')).body).toMatchObject({ ended: 0 });
  });

  it('revoke tokens, also those of operators, and list what is revoked', async () => {
    const served = await start({ jwtSecret, public: false });
    const alice = `Bearer ${await sign({ sub: 'alice', feeds: ['*'], admin: true })}`;
    const peer = await follow(served, '/feeds/a', `Authorization: ${alice}`);
    const inAnHour = Date.now() + 3_600_000;
    const revoke = (body: unknown) =>
      admin(served, 'POST /revocations', { body: JSON.stringify(body), headers: { 'x-feed-key': adminKey, ...asJson } });
    expect((await admin(served, '/nodes', { headers: { authorization: alice } })).status).toBe(200);
    const done = await revoke({ subject: 'alice', until: inAnHour });
    expect([done.status, done.body]).toEqual([201, { ended: 1, nodes: [{ name: 'n', ended: 1 }], missing: [], until: inAnHour }]);
    await peer.closed();
    const later = await admin(served, '/nodes', { headers: { authorization: alice } });
    expect([later.status, later.body.code]).toEqual([403, 'FEED_REVOKED']);
    const text = new Date(inAnHour - 1000).toISOString();
    expect((await revoke({ jti: 't1', until: text })).body).toMatchObject({ ended: 0, until: inAnHour - 1000 });
    const [first, second] = [
      { subject: 'alice', until: inAnHour },
      { jti: 't1', until: inAnHour - 1000 },
    ];
    expect((await admin(served, '/revocations')).body).toEqual({ revocations: [first, second], total: 2 });
    expect((await admin(served, '/revocations?limit=1')).body).toEqual({ revocations: [first], total: 2 });
  });

  it.each([
    [{ subject: 'a' }, /until is required/],
    [{ jti: 'a', until: null }, /until is required/],
    [{ subject: 'a', until: 'tomorrow' }, /until is required/],
    [{ subject: 'a', until: 1 }, /until is in the past/],
    [{ until: 4e12 }, /give one of the two/],
    [{ subject: 'a', jti: 'b', until: 4e12 }, /give one of the two/],
    [{ subject: '', until: 4e12 }, /texts of 1 to 255/],
    [{ subject: 7, until: 4e12 }, /texts of 1 to 255/],
    [{ sub: 'a', until: 4e12 }, /The body must be \{ subject: text, until \}/],
    ['a', /The body must be|not valid JSON/],
    [null, /The body must be|not valid JSON/],
    [[], /The body must be|one of the two/],
  ])('reject the revocation %j', async (body, message) => {
    const served = await start();
    const headers = { 'x-feed-key': adminKey, ...asJson };
    const answer = await admin(served, 'POST /revocations', { body: JSON.stringify(body), headers });
    expect([answer.status, answer.body]).toEqual([400, expect.objectContaining({ message: expect.stringMatching(message) })]);
    expect((await admin(served, '/revocations')).body).toEqual({ revocations: [], total: 0 });
  });

  it.each([
    ['GET /connections?limit=0', /limit must be a whole number from 1 to 1000/],
    ['GET /connections?limit=many', /limit must be a whole number/],
    ['GET /connections?limit=', /limit must be a whole number/],
    ['GET /connections?state=closed', /state is open or ended/],
    ['GET /connections?scope=world', /scope is node or cluster/],
    ['GET /connections?after=x', /after is a connection's id/],
    ['GET /connections?after=n-1&state=ended', /after goes with open/],
    ['GET /connections?feed=a%20b', /A feed's id is/],
    ['GET /connections?subject=', /subject is a text/],
    ['GET /connections?user=alice', /no parameter "user": there are feed, subject, /],
    ['GET /connections?subject=a&subject=b', /Give subject once/],
    ['GET /connections?__proto__=a', /no parameter "__proto__"/],
    ['DELETE /connections', /Specify which connections to end/],
    ['DELETE /connections?reason=enough', /Specify which connections to end/],
    ['DELETE /connections?subjects=a&feed=a', /no parameter "subjects"/],
    ['DELETE /connections?feed=a&reconnect=no', /reconnect is true or false/],
    ['DELETE /connections?feed=a&reason=', /reason is a text of 1 to 200/],
    ['GET /revocations?limit=0', /limit must be a whole number from 1 to 1000/],
    ['POST /revocations?subject=a', /no parameter "subject": this route has none/],
    ['GET /nodes?x=1', /no parameter "x": this route has none/],
  ])('reject %s', async (target, message) => {
    const { status, body } = await admin(await start(), target);
    expect([status, body]).toEqual([400, expect.objectContaining({ message: expect.stringMatching(message) })]);
  });

  it('need the key, in a header', async () => {
    const served = await start({ publishKey });
    const peer = await follow(served, '/feeds/a', `X-Feed-Key: ${publishKey}`);
    const refused = async (headers: Record<string, string>, query = '') => {
      const { status, body, headers: head } = await admin(served, `DELETE /connections?feed=a${query}`, { headers });
      expect(body).toMatchObject({
        code: 'FEED_UNAUTHORIZED',
        message: 'This needs the admin key, or a token with the claim "admin": true.',
      });
      return [status, head.get('www-authenticate')];
    };
    expect(await refused({})).toEqual([401, 'Bearer realm="feeds"']);
    const wrong = [401, 'Bearer realm="feeds", error="invalid_token"'];
    for (const key of ['wrong', publishKey, adminKey.slice(0, -1), `${adminKey}x`, adminKey.toUpperCase()]) {
      expect(await refused({ 'x-feed-key': key })).toEqual(wrong);
      expect(await refused({ authorization: `Bearer ${key}` })).toEqual(wrong);
    }
    expect(await refused({ cookie: `feed_token=${adminKey}; feed_dashboard=${adminKey}` })).toEqual([401, 'Bearer realm="feeds"']);
    expect(await refused({}, `&token=${adminKey}`)).toEqual([401, 'Bearer realm="feeds"']);
    expect(await refused({ authorization: `Basic ${adminKey}` })).toEqual([401, 'Bearer realm="feeds"']);
    expect(peer.socket.destroyed).toBe(false);
    expect((await admin(served, '/nodes', { headers: { authorization: `Bearer ${adminKey}` } })).status).toBe(200);
    // Nothing else is open to it.
    expect((await fetch(`${served.url}/feeds/a`, { method: 'POST', body: 'x', headers: { 'x-feed-key': adminKey } })).status).toBe(401);
  });

  it.each([{}, { key: adminKey }])('take a token with the claim admin, with the options %j', async (options) => {
    const served = await start({ jwtSecret, public: false }, options);
    const status = async (claims: object) =>
      (await admin(served, '/nodes', { headers: { authorization: `Bearer ${await sign({ feeds: '*', publish: '*', ...claims })}` } }))
        .status;
    expect(await status({ admin: true })).toBe(200);
    for (const claim of [{}, { admin: false }, { admin: 'true' }, { admin: 1 }, { admin: ['*'] }]) expect(await status(claim)).toBe(403);
    expect(await status({ admin: true, exp: 1 })).toBe(401);
    const forged = await sign({ admin: true }, { key: Buffer.from('another secret of thirty-two bytes, no less') });
    expect((await admin(served, '/nodes', { headers: { authorization: `Bearer ${forged}` } })).status).toBe(401);
    const inKey = { 'x-feed-key': await sign({ admin: true }) };
    expect((await admin(served, '/nodes', { headers: inKey })).status).toBe(401);
  });

  it('take the claim from who decides in the place of tokens, and each of several keys', async () => {
    const asked: string[] = [];
    const served = await start(
      {
        public: false,
        authorize: ({ action, path, authorization }) => {
          asked.push(`${action} ${path}`);
          return authorization === 'Bearer operator'
            ? { sub: 'olga', admin: true }
            : authorization === 'Bearer user'
              ? { feeds: '*' }
              : authorization === 'Bearer all';
        },
      },
      { key: ['old-key', 'new-key'] },
    );
    const status = async (headers: Record<string, string>) => (await admin(served, '/nodes', { headers })).status;
    expect(await status({ authorization: 'Bearer operator' })).toBe(200);
    for (const name of ['user', 'all', 'nobody']) expect(await status({ authorization: `Bearer ${name}` })).toBe(403);
    expect(asked).toEqual(Array.from({ length: 4 }, () => 'read /admin/nodes'));
    for (const key of ['old-key', 'new-key']) {
      expect(await status({ 'x-feed-key': key })).toBe(200);
      expect(await status({ authorization: `Bearer ${key}` })).toBe(200);
    }
    expect(await status({ 'x-feed-key': 'operator' })).toBe(401);
    expect(await status({ cookie: 'feed_token=operator' })).toBe(401);
    expect(asked).toHaveLength(4);
  });

  it('are where the module is imported with a path, behind other guards', async () => {
    const guards = [{ canActivate: () => true }];
    const served = await serve(platform, { imports: [feedModule(), AdminModule.forRoot({ path: 'operators/feeds', guards })] });
    expect((await fetch(`${served.url}/operators/feeds/nodes`)).status).toBe(200);
    expect((await fetch(`${served.url}/admin/nodes`)).status).toBe(404);
  });

  it('are not served open', async () => {
    const start = (options?: object) => serve(platform, { imports: [feedModule(), AdminModule.forRoot(options as never)] });
    await expect(start({})).rejects.toThrow(/AdminModule needs "key", "guards", or tokens/);
    await expect(start({ key: '' })).rejects.toThrow(/AdminModule's option "key" must be one or more visible ASCII/);
    await expect(start({ keys: 'a' })).rejects.toThrow(/AdminModule has no option "keys"; it has path, guards, decorators, key/);
  });
});
