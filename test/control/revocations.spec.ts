import { AdminModule } from '../../src/admin/index.js';
import { FeedTokenService } from '../../src/index.js';
import type { Engine } from '../../tools/engines.mjs';
import { adminKey } from '../support/admin.js';
import { type BrokerKind, describeSharedBrokers, engineOf } from '../support/brokers.js';
import { Peer } from '../support/peer.js';
import {
  closeAll,
  feedModule,
  follow,
  type ModuleOptions,
  platforms,
  post,
  type Served,
  serveFeeds,
  serve as serveModules,
  until,
  withoutParsers,
} from '../support/serve.js';
import { jwtSecret, now, sign } from '../support/tokens.js';

const inAnHour = () => Date.now() + 3_600_000;

const tokenOf = (sub: string, jti: string) => sign({ sub, jti, feeds: ['*'], publish: ['*'] });
const withToken = (token: string) => `Authorization: Bearer ${token}`;
const statusOf = async ({ url }: Served, token: string, path = '/feeds/a?mode=once') => {
  const answer = await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${token}` } });
  const { code } = (await answer.json()) as { code?: string };
  return [answer.status, code];
};
const refused = [403, 'FEED_REVOKED'];
const accepted = [200, undefined];

describe.each(platforms)('revoked tokens on %s', (platform) => {
  afterEach(closeAll);

  const serve = (options: ModuleOptions = {}) => serveFeeds(platform, { nodeName: 'n', jwtSecret, public: false, ...options });

  it('are those of a subject: their connections end, without what waits, and they are refused everywhere', async () => {
    const served = await serve();
    const [alice, bob] = [await tokenOf('alice', '1'), await tokenOf('bob', '2')];
    const open = await follow(served, '/feeds/a?format=sse', withToken(alice));
    const other = await follow(served, '/feeds/a', withToken(bob));
    const until = inAnHour();
    expect(await served.feeds.revoke({ subject: 'alice', until })).toEqual({
      ...{ ended: 1, nodes: [{ name: 'n', ended: 1 }], missing: [], until },
    });
    await open.sees('event: error\ndata: {"code":"FEED_REVOKED","message":"The token has been revoked."');
    await open.closed();
    expect(served.feeds.counts().closed.revoked).toBe(1);
    for (const path of ['/feeds/a', '/feeds/a?mode=once', '/feeds/a?mode=poll&wait=1'])
      expect(await statusOf(served, alice, path)).toEqual(refused);
    expect((await post(`${served.url}/feeds/a`, 'x', { authorization: `Bearer ${alice}` })).status).toBe(403);
    expect(await statusOf(served, bob)).toEqual(accepted);
    expect(other.socket.destroyed).toBe(false);
    expect(served.feeds.revocations()).toEqual([{ subject: 'alice', until }]);
  });

  it('may be one by its id, for as long as it says', async () => {
    const served = await serve();
    const [one, two] = [await tokenOf('alice', '1'), await tokenOf('alice', '2')];
    const first = await follow(served, '/feeds/a', withToken(one));
    await follow(served, '/feeds/a', withToken(two));
    expect(await served.feeds.revoke({ jti: '1', until: new Date(Date.now() + 500) })).toMatchObject({ ended: 1 });
    await first.closed();
    expect(await statusOf(served, one)).toEqual(refused);
    expect(await statusOf(served, two)).toEqual(accepted);
    await until(async () => (await statusOf(served, one))[0] === 200);
    expect(served.feeds.revocations()).toEqual([]);
  });

  it('can be revoked by whatever name is accepted', async () => {
    const served = await serve({ nodeName: 'n' });
    for (const claim of ['sub', 'jti'] as const) {
      for (const name of ['x', 'ü ☃\n', 'x'.repeat(255)]) {
        const token = await sign({ [claim]: name, feeds: ['*'] });
        expect(await statusOf(served, token)).toEqual(accepted);
        await served.feeds.revoke({ [claim === 'sub' ? 'subject' : 'jti']: name, until: inAnHour() });
        expect(await statusOf(served, token)).toEqual(refused);
      }
      for (const name of ['', 'x'.repeat(256)]) {
        const answer = await fetch(`${served.url}/feeds/a`, {
          headers: { authorization: `Bearer ${await sign({ [claim]: name, feeds: ['*'] })}` },
        });
        const { message } = (await answer.json()) as Error;
        expect([answer.status, message]).toEqual([401, `The claim ${claim} of the token must have 1 to 255 characters.`]);
      }
    }
    await served.app.get(FeedTokenService).create({ feeds: 'a', subject: 'x'.repeat(255) });
    await expect(served.app.get(FeedTokenService).create({ feeds: 'a', subject: 'x'.repeat(256) })).rejects.toThrow(/255 characters/);
  });

  describe('are refused, however long a request has been under way:', () => {
    let served: Served;
    let handled = 0;
    beforeEach(async () => {
      handled = 0;
      served = await serveModules(
        platform,
        { imports: [feedModule({ nodeName: 'n', jwtSecret, public: false }), AdminModule.forRoot({ key: adminKey })] },
        (app) => {
          withoutParsers(app.getHttpAdapter());
          app.useGlobalInterceptors({
            intercept(_, next) {
              handled += 1;
              return next.handle();
            },
          });
        },
        { bodyParser: false },
      );
    });
    /** A request whose handler waits for the rest of the body. */
    const begun = async (path: string, type: string, body: string, claims: object = {}) => {
      const token = await sign({ sub: 'alice', feeds: ['*'], publish: ['*'], admin: true, ...claims });
      const peer = await Peer.to(served.port);
      const head = [`POST ${path} HTTP/1.1`, 'Host: test', withToken(token), `Content-Type: ${type}`, `Content-Length: ${body.length}`];
      peer.send(`${head.join('\r\n')}\r\n\r\n${body.slice(0, 2)}`);
      await until(() => handled === 1);
      return peer;
    };
    const storedOf = async (feed: string) => {
      const { messages, ended } = await served.feeds.history(feed);
      return [messages.length, ended];
    };

    it.each([
      ['/feeds/a', 'text/plain', 'hello'],
      ['/feeds/a', 'application/json', '{"n":1}'],
      ['/feeds', 'application/json', '{"messages":[{"feed":"a","data":1}]}'],
      ['/feeds', 'application/json', '{"feeds":["a"],"data":1}'],
      ['/feeds/a?end', 'application/json', '{"error":"x"}'],
      ['/admin/feeds/a', 'text/plain', 'hello'],
      ['/admin/revocations', 'application/json', JSON.stringify({ subject: 'bob', until: inAnHour() })],
    ])('POST %s of %s', async (path, type, body) => {
      const peer = await begun(path, type, body);
      await served.feeds.revoke({ subject: 'alice', until: inAnHour() });
      peer.send(body.slice(2));
      await peer.sees('}');
      expect([peer.status, JSON.parse(peer.body).code]).toEqual(refused);
      expect(await storedOf('a')).toEqual([0, undefined]);
      expect(served.feeds.revocations()).toHaveLength(1);
    });

    it('a token that expires meanwhile publishes nothing either', async () => {
      const exp = now() - 3; // clocks may differ by five
      const peer = await begun('/feeds/a', 'text/plain', 'hello', { exp });
      await until(() => Date.now() >= (exp + 6) * 1000);
      peer.send('llo');
      await peer.sees('}');
      expect([peer.status, JSON.parse(peer.body).code]).toEqual([401, 'FEED_UNAUTHORIZED']);
      expect(await storedOf('a')).toEqual([0, undefined]);
    });
  });

  it.each([
    [{ subject: 'a' }, /until is required/],
    [{ subject: 'a', until: null }, /until is required/],
    [{ subject: 'a', until: 'tomorrow' }, /until is required/],
    [{ subject: 'a', until: Number.NaN }, /until is required/],
    [{ subject: 'a', until: 1 }, /until is in the past/],
    [{ subject: 'a', until: '2020-01-01T00:00:00Z' }, /until is in the past/],
    [{ subject: 'a', until: Date.now() * 1000 }, /more than ten years/],
    [{ until: inAnHour() }, /give one of the two/],
    [{ subject: 'a', jti: 'b', until: inAnHour() }, /give one of the two/],
    [{ subject: '', until: inAnHour() }, /texts of 1 to 255/],
    [{ jti: 'x'.repeat(256), until: inAnHour() }, /texts of 1 to 255/],
    [{ subject: 7, until: inAnHour() }, /texts of 1 to 255/],
  ])('need to be named, and a time: %j', async (options, message) => {
    const { feeds } = await serve();
    await expect(feeds.revoke(options as never)).rejects.toThrow(message);
    expect(feeds.revocations()).toEqual([]);
  });
});

describeSharedBrokers('revoked tokens on several nodes on', (kind: BrokerKind) => {
  describe.each(platforms)('on %s', (platform) => {
    let engine: Engine;
    beforeEach(async () => {
      engine = (await engineOf(kind)) as Engine;
    });
    afterEach(closeAll);

    const start = (nodeName: string) =>
      serveFeeds(platform, { broker: (context) => kind.make(engine.port, context), nodeName, jwtSecret, public: false });

    it('are refused by all, by one that starts later, and by all after the server was restarted', async () => {
      const [a, b] = [await start('a'), await start('b')];
      await until(() => a.feeds.nodeNames().length === 2);
      const token = await tokenOf('alice', '1');
      const [one, two] = [await follow(a, '/feeds/a', withToken(token)), await follow(b, '/feeds/a', withToken(token))];
      expect(await b.feeds.revoke({ subject: 'alice', until: inAnHour() })).toMatchObject({ ended: 2, missing: [] });
      await Promise.all([one.closed(), two.closed()]);
      for (const node of [a, b]) expect(await statusOf(node, token)).toEqual(refused);
      const c = await start('c');
      expect(await statusOf(c, token)).toEqual(refused);
      await engine.kill();
      await until(() => c.feeds.status.broker.unavailableSince !== undefined);
      await engine.restart();
      await until(() => c.feeds.status.broker.unavailableSince === undefined);
      for (const node of [a, b, c]) expect(await statusOf(node, token)).toEqual(refused);
      await c.app.close();
      const d = await start('d');
      await until(async () => (await statusOf(d, token))[1] === 'FEED_REVOKED');
    });

    it('are refused at once by the nodes that are there, and said not to be stored, while the broker is unavailable', async () => {
      const [a, token] = [await start('a'), await tokenOf('alice', '1')];
      const open = await follow(a, '/feeds/a', withToken(token));
      await engine.kill();
      await until(() => a.feeds.status.broker.unavailableSince !== undefined);
      await expect(a.feeds.revoke({ subject: 'alice', until: inAnHour() })).rejects.toMatchObject({ code: 'FEED_BROKER' });
      await open.closed();
      expect(await statusOf(a, token)).toEqual(refused);
      await engine.restart();
    });

    it('are not known to a node that starts while the broker is unavailable: it accepts no token until they are', async () => {
      const [a, token] = [await start('a'), await tokenOf('alice', '1')];
      await a.feeds.revoke({ jti: '1', until: inAnHour() });
      await engine.kill();
      const b = await start('b');
      expect(await statusOf(b, token)).toEqual([503, 'FEED_BROKER']);
      await engine.restart();
      await until(async () => (await statusOf(b, token))[1] === 'FEED_REVOKED');
    });
  });
});
