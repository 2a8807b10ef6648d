import { Controller, UseGuards } from '@nestjs/common';
import { SignJWT } from 'jose';
import { Feed, FeedAuthGuard, type FeedTicket } from '../../src/index.js';
import type { Engine } from '../../tools/engines.mjs';
import { type BrokerKind, describeBrokers, engineOf } from '../support/brokers.js';
import { atEnd } from '../support/ends.js';
import { Peer } from '../support/peer.js';
import { closeAll, type ModuleOptions, platforms, publishKey, type Served, serveFeeds, until } from '../support/serve.js';
import { jwtSecret, now, sign } from '../support/tokens.js';

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const ticketsOf = async (url: string, headers: Record<string, string>, query = '') => {
  const answer = await fetch(`${url}/tickets${query}`, { method: 'POST', headers });
  return { status: answer.status, headers: answer.headers, body: (await answer.json()) as FeedTicket & { code: string; message: string } };
};
const read = async (url: string, path: string, headers: Record<string, string> = {}, method = 'GET') => {
  const answer = await fetch(url + path, { headers, method });
  if (answer.status !== 200) return [answer.status, ((await answer.json()) as Error).message];
  await answer.body?.cancel();
  return [200];
};
const used = [401, 'The ticket has been used. Get another one.'];

@Controller('own')
class OwnController {
  @Feed('guarded/:id')
  @UseGuards(FeedAuthGuard)
  guarded() {}
}

describe.each(platforms)('one-time tickets on %s', (platform) => {
  let served: Served;
  const start = async (options: ModuleOptions = {}) => {
    served = await serveFeeds(platform, { jwtSecret, publishKey, tickets: true, drainMs: 0, ...options }, { controllers: [OwnController] });
  };
  const ticketFor = async (claims: object = {}, query = '') => {
    const { status, body } = await ticketsOf(served.url, bearer(await sign({ feeds: 'a', ...claims })), query);
    expect(status).toBe(201);
    return body.ticket;
  };
  afterEach(closeAll);

  it('open what their token grants, once', async () => {
    await start();
    const before = Date.now();
    const issued = await ticketsOf(served.url, bearer(await sign({ feeds: ['a', 'own/*'], publish: 'a', sub: 'ada' })));
    expect([issued.status, issued.headers.get('cache-control'), Object.keys(issued.body)]).toEqual([
      201,
      'no-store',
      ['ticket', 'expiresAt'],
    ]);
    expect(issued.body.expiresAt).toBeGreaterThan(before);
    expect(issued.body.expiresAt).toBeLessThanOrEqual(Date.now() + 60_000);
    const { ticket } = issued.body;
    expect(await read(served.url, `/feeds/a?ticket=${ticket}`)).toEqual([200]);
    for (const path of ['/feeds/a', '/own/guarded/1', '/feeds?id=a']) {
      const again = `${path}${path.includes('?') ? '&' : '?'}ticket=${ticket}`;
      expect(await read(served.url, again)).toEqual(used);
    }
    expect(await read(served.url, `/own/guarded/1?ticket=${await ticketFor({ feeds: 'own/*' })}`)).toEqual([200]);
    expect(await read(served.url, `/feeds/a?mode=once&ticket=${await ticketFor()}`)).toEqual([200]);
    expect((await read(served.url, `/feeds/b?ticket=${await ticketFor()}`))[0]).toBe(403);
  });

  it('are not used up by HEAD', async () => {
    await start();
    const ticket = await ticketFor();
    const head = async () => (await fetch(`${served.url}/feeds/a?ticket=${ticket}`, { method: 'HEAD' })).status;
    for (let n = 0; n < 2; n += 1) expect(await head()).toBe(200);
    expect(await read(served.url, `/feeds/a?ticket=${ticket}`)).toEqual([200]);
    expect((await fetch(`${served.url}/feeds/b?ticket=${ticket}`, { method: 'HEAD' })).status).toBe(403);
  });

  it('open one connection of all that come at the same moment', async () => {
    await start();
    const ticket = await ticketFor();
    const all = await Promise.all(Array.from({ length: 20 }, () => read(served.url, `/feeds/a?ticket=${ticket}`)));
    expect(all.filter(([status]) => status === 200)).toHaveLength(1);
    expect(all.filter(([status]) => status === 401)).toHaveLength(19);
  });

  it('give the connection the subject and the end of their token', async () => {
    await start({ maxConnectionsPerClient: 1 });
    const exp = now() + 2;
    const ticket = await ticketFor({ sub: 'ada', exp, jti: 'token-1' });
    const peer = await Peer.get(served.port, `/feeds/a?ticket=${ticket}`);
    await until(() => served.feeds.counts().open === 1);
    const { connections } = await served.feeds.connections({ subject: 'ada' });
    expect(connections).toMatchObject([{ subject: 'ada', feeds: ['a'] }]);
    expect((await read(served.url, '/feeds/a', bearer(await sign({ sub: 'ada' }))))[0]).toBe(429);
    let isOver = false;
    setTimeout(
      () => {
        isOver = true;
      },
      exp * 1000 - Date.now(),
    );
    await peer.closed();
    expect(isOver).toBe(true);
    await until(() => served.feeds.counts().closed.expired === 1);
  });

  it('are refused where their token is revoked, and end with it', async () => {
    await start();
    const [ticket, late] = [await ticketFor({ sub: 'ada', jti: '1' }), await ticketFor({ sub: 'ada', jti: '1' })];
    const peer = await Peer.get(served.port, `/feeds/a?ticket=${ticket}`);
    await until(() => served.feeds.counts().open === 1);
    expect(await served.feeds.revoke({ jti: '1', until: Date.now() + 60_000 })).toMatchObject({ ended: 1 });
    await peer.closed();
    expect(await read(served.url, `/feeds/a?ticket=${late}`)).toEqual([403, 'The token has been revoked.']);
    expect((await ticketsOf(served.url, bearer(await sign({ jti: '1' })))).body.code).toBe('FEED_REVOKED');
  });

  it('expire with their token', async () => {
    await start();
    const exp = now() + 5;
    const { body } = await ticketsOf(served.url, bearer(await sign({ exp })));
    expect(body.expiresAt).toBe(exp * 1000);
  });

  it('are for the feeds alone that are asked for', async () => {
    await start();
    const token = bearer(await sign({ feeds: ['orders/*', 'news'] }));
    const { body } = await ticketsOf(served.url, token, '?id=orders/1&id=news');
    expect(await read(served.url, `/feeds?id=orders/1&id=news&ticket=${body.ticket}`)).toEqual([200]);
    const { body: other } = await ticketsOf(served.url, token, '?id=news');
    expect((await read(served.url, `/feeds/orders/1?ticket=${other.ticket}`))[0]).toBe(403);
    const refused = await ticketsOf(served.url, token, '?id=secret');
    expect([refused.status, refused.body.code]).toEqual([403, 'FEED_FORBIDDEN']);
    expect((await ticketsOf(served.url, token, '?id=%20')).body.code).toBe('FEED_ID');
  });

  it('are issued for a valid token or the key, and for nothing else', async () => {
    await start();
    for (const headers of <Record<string, string>[]>[
      {},
      bearer('garbage'),
      bearer(await sign({ exp: now() - 60 })),
      { 'x-feed-key': 'wrong' },
    ]) {
      const { status, headers: answered, body } = await ticketsOf(served.url, headers);
      expect([status, body.code, answered.get('www-authenticate')]).toEqual([
        401,
        'FEED_UNAUTHORIZED',
        expect.stringMatching(/^Bearer realm="feeds"/),
      ]);
    }
    const { body } = await ticketsOf(served.url, bearer(publishKey));
    expect(await read(served.url, `/feeds/whatever?ticket=${body.ticket}`)).toEqual([200]);
    // One ticket is not good for another.
    expect((await ticketsOf(served.url, {}, `?ticket=${await ticketFor()}`)).status).toBe(401);
    const foreign = { cookie: `feed_token=${await sign()}`, origin: 'https://evil.example' };
    expect((await ticketsOf(served.url, foreign)).status).toBe(403);
  });

  it('are refused where they are forged, expired, of another kind, or publish', async () => {
    await start();
    const ticket = await ticketFor();
    const [head, body, signature] = ticket.split('.') as [string, string, string];
    const forged = Buffer.from(
      JSON.stringify({ ...JSON.parse(Buffer.from(body, 'base64url').toString()), grant: { feeds: '*' } }),
    ).toString('base64url');
    const secret = new TextEncoder().encode(jwtSecret);
    const own = await new SignJWT({ jti: '1', exp: now() + 60, grant: { feeds: '*' } }).setProtectedHeader({ alg: 'HS256' }).sign(secret);
    for (const wrong of ['garbage', `${head}.${forged}.${signature}`, own, await sign()])
      expect(await read(served.url, `/feeds/a?ticket=${wrong}`)).toEqual([401, 'The ticket is not valid.']);
    // A ticket is no token.
    for (const headers of [bearer(ticket), { cookie: `feed_token=${ticket}` }])
      expect(await read(served.url, '/feeds/a', headers)).toEqual([401, 'The token is not valid.']);
    expect(await read(served.url, `/feeds/a?token=${ticket}`)).toEqual([401, 'The token is not valid.']);
    expect((await read(served.url, `/feeds/a?ticket=${ticket}`, { 'content-type': 'text/plain' }, 'POST'))[0]).toBe(401);
    expect((await read(served.url, `/feeds/a?ticket=${ticket}`, {}, 'DELETE'))[0]).toBe(401);
    expect(await read(served.url, `/feeds/a?ticket=${ticket}`)).toEqual([200]);

    const { now: time } = Date;
    Date.now = () => time() - 60_000;
    atEnd(() => Object.assign(Date, { now: time }));
    const late = await ticketFor();
    Date.now = time;
    expect(await read(served.url, `/feeds/a?ticket=${late}`)).toEqual([401, 'The ticket has expired. Get another one.']);
  });

  it('are told to nobody, and take the place of a cookie', async () => {
    const urls: string[] = [];
    await start({
      source: ({ url }) => {
        urls.push(url);
        return [];
      },
    });
    const ticket = await ticketFor();
    expect(await read(served.url, `/feeds/a?x=1&ticket=${ticket}`, { cookie: 'feed_token=stale' })).toEqual([200]);
    expect(urls).toEqual(['/feeds/a?x=1']);
  });

  it('are there only where they are asked for', async () => {
    await start({ tickets: false });
    expect((await ticketsOf(served.url, bearer(await sign()))).status).toBe(404);
    expect((await read(served.url, '/feeds/a?ticket=x'))[0]).toBe(401);
    await start({ tickets: 'own/tickets' });
    const issued = await fetch(`${served.url}/own/tickets`, { method: 'POST', headers: bearer(await sign()) });
    const { ticket } = (await issued.json()) as FeedTicket;
    expect(await read(served.url, `/feeds/a?ticket=${ticket}`)).toEqual([200]);
  });

  it('go with whatever decides, where they have a secret of their own', async () => {
    await start({
      jwtSecret: undefined,
      public: false,
      ticketSecret: jwtSecret,
      authorize: ({ feeds }) => (feeds.length > 0 ? { sub: 'ada' } : { feeds: 'b' }),
    });
    const issued = await ticketsOf(served.url, bearer('of ada'), '?id=a');
    expect(await read(served.url, `/feeds/a?ticket=${issued.body.ticket}`)).toEqual([200]);
    const all = await ticketsOf(served.url, bearer('of ada'));
    expect(await read(served.url, `/feeds/b?ticket=${all.body.ticket}`)).toEqual([200]);
  });

  it('go on while their secret changes', async () => {
    const next = `next ${jwtSecret}`;
    await start();
    const ticket = await ticketFor();
    await start({ jwtSecret: [next, jwtSecret] });
    expect(await read(served.url, `/feeds/a?ticket=${ticket}`)).toEqual([200]);
    const { body } = await ticketsOf(served.url, bearer(await sign()));
    await start({ jwtSecret: next });
    expect(await read(served.url, `/feeds/a?ticket=${body.ticket}`)).toEqual([200]);
  });

  it('tokens in the URL can be switched off', async () => {
    await start({ tokenInQuery: false });
    const token = await sign();
    const hint = 'Reading needs the publish key or a token. A token in the URL is not accepted: send it in a header.';
    expect(await read(served.url, `/feeds/a?token=${token}`)).toEqual([401, hint]);
    expect(await read(served.url, '/feeds/a', bearer(token))).toEqual([200]);
    expect(await read(served.url, '/feeds/a?token=wrong', bearer(token))).toEqual([200]);
    expect(await read(served.url, `/feeds/a?ticket=${await ticketFor()}`)).toEqual([200]);
  });
});

describeBrokers('one-time tickets over nodes that share', (kind: BrokerKind) => {
  let engine: Engine;
  const nodes: Served[] = [];
  beforeEach(async () => {
    engine = (await engineOf(kind)) as Engine;
  });
  afterEach(async () => {
    nodes.length = 0;
    await closeAll();
  });

  const start = async (count: number, options: ModuleOptions = {}) => {
    for (let n = 0; n < count; n += 1) {
      const broker = kind.name === 'memory' ? 'memory' : (context: never) => kind.make(engine.port, context, 'tickets');
      nodes.push(
        await serveFeeds('fastify', { jwtSecret, tickets: true, drainMs: 0, nodeName: `n${n}`, broker: broker as never, ...options }),
      );
    }
  };

  it('are used once over all of them, whatever is stored of feeds', async () => {
    await start(kind.name === 'memory' ? 1 : 3, { historyLength: 0, historyTtlMs: 1000 });
    const { body } = await ticketsOf((nodes[0] as Served).url, bearer(await sign()));
    const all = await Promise.all(nodes.flatMap(({ url }) => [1, 2, 3].map(() => read(url, `/feeds/a?ticket=${body.ticket}`))));
    expect(all.filter(([status]) => status === 200)).toHaveLength(1);
    expect(all.filter(([status]) => status === 401)).toHaveLength(all.length - 1);
    for (const { url } of nodes) expect(await read(url, `/feeds/a?ticket=${body.ticket}`)).toEqual(used);
  });

  if (kind.name === 'memory') return; // it is never unavailable
  it('open nothing while the broker cannot say whether they have been used', async () => {
    await start(1);
    const { url } = nodes[0] as Served;
    const { body } = await ticketsOf(url, bearer(await sign()));
    await engine.stop();
    const answer = await fetch(`${url}/feeds/a?ticket=${body.ticket}`);
    expect([answer.status, ((await answer.json()) as { code: string }).code, answer.headers.has('retry-after')]).toEqual([
      503,
      'FEED_BROKER',
      true,
    ]);
  });
});
