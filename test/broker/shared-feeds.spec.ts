import { interval, map } from 'rxjs';
import type { FeedOptions } from '../../src/index.js';
import type { Engine } from '../../tools/engines.mjs';
import { type BrokerKind, describeSharedBrokers, engineOf } from '../support/brokers.js';
import { Peer } from '../support/peer.js';
import { asJson, closeAll, platforms, post, publishKey, type Served, serveFeeds, until } from '../support/serve.js';

describeSharedBrokers('applications that share feeds over', (kind: BrokerKind) => {
  describe.each(platforms)('%s:', (platform) => {
    let engine: Engine;

    const start = (options: FeedOptions = {}) =>
      serveFeeds(platform, { publishKey, drainMs: 0, broker: (context) => kind.make(engine.port, context), ...options });

    /** Follows a feed as server-sent events. */
    const follow = ({ port }: Served, path: string, ...headers: string[]) => Peer.get(port, path, 'Accept: text/event-stream', ...headers);

    const isAway = async ({ url }: Served) => (await post(`${url}/feeds/probe`, 'x')).status === 503;

    beforeEach(async () => {
      engine = (await engineOf(kind)) as Engine;
    });
    afterEach(closeAll);

    it('what is posted to one is read from all, and resumed from any', async () => {
      const [one, other] = [await start(), await start()];
      const readers = [await follow(one, '/feeds/a'), await follow(other, '/feeds/a'), await follow(other, '/feeds?id=b&id=a')];
      for (const reader of readers) await reader.sees('200 OK');
      const answer = await post(`${one.url}/feeds/a`, 'first');
      expect(answer.status).toBe(201);
      const { id } = (await answer.json()) as { id: string };
      for (const reader of readers) await reader.sees(`id: ${id}\ndata: first`);
      await post(`${other.url}/feeds/a`, 'second');
      await post(`${other.url}/feeds/b`, 'beside');
      const resumed = await follow(other, '/feeds?id=a&id=b', `Last-Event-ID: ${id}`);
      await resumed.sees('data: beside');
      expect(resumed.text).toMatch(/data: second[\s\S]*data: beside/);
      expect(resumed.text).not.toContain('data: first');
      const history = await follow(one, '/feeds/a?since=earliest');
      await history.sees(/data: first[\s\S]*data: second/);
    });

    it('what the engine takes at no time is answered with 413, and nobody is told to try again', async () => {
      const { url } = await start({ bodyBytes: 3_000_000 });
      // As much as Fastify takes, and a byte more than NATS, which has one that says what a message is; Redis takes far more.
      const answer = await post(`${url}/feeds/a`, 'x'.repeat(2 ** 20));
      expect(answer.status).toBe(kind.name === 'nats' ? 413 : 201);
      expect(answer.headers.has('retry-after')).toBe(false);
      if (answer.status === 413) expect(await answer.json()).toMatchObject({ code: 'FEED_BODY_TOO_LARGE', limit: 2 ** 20 - 1 });
      expect((await post(`${url}/feeds/a`, 'x')).status).toBe(201);
    });

    it('without the engine: 503 with Retry-After for who publishes or resumes, and what is open goes on', async () => {
      const ticks = interval(20).pipe(map((n) => `tick ${n}`));
      const [plain, sourced] = [await start(), await start({ source: () => ticks })];
      const reader = await follow(plain, '/feeds/a');
      const fed = await follow(sourced, '/feeds/a');
      await fed.sees('data: tick 1');
      await reader.sees('200 OK');
      const { id } = (await (await post(`${plain.url}/feeds/a`, 'before')).json()) as { id: string };
      await engine.kill();
      await until(() => isAway(plain));
      const refused = await post(`${plain.url}/feeds/a`, 'lost');
      expect(refused.status).toBe(503);
      expect(refused.headers.get('retry-after')).toBe('5');
      expect(await refused.json()).toMatchObject({ code: 'FEED_BROKER', retryAfter: 5 });
      const many = await post(`${plain.url}/feeds`, JSON.stringify({ feeds: ['a', 'b'], data: 1 }), asJson);
      expect([many.status, many.headers.get('retry-after')]).toEqual([503, '5']);
      await expect(plain.feeds.publish('a', 'lost')).rejects.toMatchObject({ code: 'FEED_BROKER' });

      // What has a source needs nobody else; what has none has nothing to say.
      const later = await follow(sourced, '/feeds/b');
      await later.sees('data: tick 1');
      fed.text = '';
      await fed.sees(/tick \d+[\s\S]*tick \d+/);
      const before = plain.feeds.counts();
      if (kind.name === 'redis') {
        const without = await fetch(`${plain.url}/feeds/a`);
        expect([without.status, without.headers.get('retry-after')]).toEqual([503, expect.stringMatching(/^[1-9]\d?$/)]);
        expect(plain.feeds.counts().rejectedBy.broker).toBe(before.rejectedBy.broker + 1);
      }
      await engine.restart();
      await until(async () => !(await isAway(plain)) && !(await isAway(sourced)));
      await post(`${plain.url}/feeds/a`, 'after');
      await post(`${plain.url}/feeds/b`, 'also');
      await reader.sees(/data: before[\s\S]*data: after/);
      await fed.sees('data: after');
      await later.sees('data: also');
      const back = await follow(plain, '/feeds/a', `Last-Event-ID: ${id}`);
      await back.sees('data: after');
      expect(reader.text + back.text).not.toContain('reset');
    });

    it('tells those who follow and those who come back when the engine has lost what it knew', async () => {
      const application = await start();
      const reader = await follow(application, '/feeds/a');
      await reader.sees('200 OK');
      const { id } = (await (await post(`${application.url}/feeds/a`, 'before')).json()) as { id: string };
      await reader.sees('data: before');
      await engine.kill();
      await engine.wipe();
      await engine.restart();
      await until(async () => !(await isAway(application)));
      await reader.sees('event: reset');
      await post(`${application.url}/feeds/a`, 'after');
      await reader.sees(/event: reset\ndata: \{"feed":"a","oldest":(null|"[^"]+")\}\n\n[\s\S]*data: after/);
      const back = await follow(application, '/feeds/a', `Last-Event-ID: ${id}`);
      await back.sees(/event: reset[\s\S]*data: after/);
    });

    it('tells who follows what, also of those who leave at once and of those who have to wait', async () => {
      const { feeds } = await start();
      const told: string[] = [];
      feeds.events$.subscribe((event) => 'feed' in event && told.push(`${event.type} ${event.feed}`));
      feeds.messages('left').subscribe().unsubscribe();
      const [first, second] = [feeds.messages('a').subscribe(), feeds.messages('a').subscribe()];
      first.unsubscribe();
      await until(() => told.length > 0);
      expect(told).toEqual(['followed a']);
      second.unsubscribe();
      await engine.kill();
      await until(() => feeds.status.broker.unavailableSince !== undefined);
      const waiting = feeds.messages('b').subscribe();
      await engine.restart();
      await until(() => told.includes('followed b') && feeds.status.broker.unavailableSince === undefined);
      waiting.unsubscribe();
      await until(() => told.at(-1) === 'unfollowed b');
      expect(told.slice(0, 2)).toEqual(['followed a', 'unfollowed a']);
      const times = (event: string) => told.filter((other) => other === event).length;
      expect(times('unfollowed b')).toBe(times('followed b'));
    });

    it('closes its connection to the engine with the application', async () => {
      const { app } = await start();
      const sockets = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
      const before = sockets();
      await app.close();
      await until(() => sockets() < before);
    });
  });
});
