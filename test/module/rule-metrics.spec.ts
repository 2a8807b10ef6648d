import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Measures } from '../../src/feed/stats/measures.js';
import { FeedService, FeedTokenService } from '../../src/index.js';
import { FeedMetrics, MetricsModule } from '../../src/metrics/index.js';
import { Webhook, WebhookModule } from '../../src/webhook/index.js';
import { type BrokerKind, describeBrokers, engineOf } from '../support/brokers.js';
import { atEnd } from '../support/ends.js';
import { Peer } from '../support/peer.js';
import { samplesOf } from '../support/samples.js';
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
import { jwtSecret } from '../support/tokens.js';

const rules = { 'prices/*': { historyLength: 3 }, 'orders/7': {}, 'rare/*': { publishPerSecond: 1 } };

describe.each(platforms)('metrics by rule on %s', (platform) => {
  let served: Served;
  const start = async (options: ModuleOptions = {}) => {
    served = await serveFeeds(platform, { rules, publishKey, public: true, ...options }, { imports: [MetricsModule] });
  };
  /** The samples of a metric that are not zero, by what its labels are. */
  const valuesOf = async (name: string) => {
    const samples = [...(await samplesOf(`${served.url}/metrics`))].filter(([key, value]) => key.startsWith(`${name}{`) && value > 0);
    return Object.fromEntries(samples.map(([key, value]) => [key.slice(name.length), value]));
  };
  const publish = async (feed: string, count: number) => {
    let id = '';
    for (let n = 0; n < count; n += 1) id = (await served.feeds.publish(feed, n)).id as string;
    return id;
  };

  afterEach(closeAll);

  it('count how clients resume', async () => {
    await start();
    const first = await publish('prices/a', 1);
    const last = await publish('prices/a', 2);
    const elsewhere = await publish('news', 1);
    // It has the last message of its feed; others have come since on other feeds.
    await follow(served, `/feeds/prices/a?since=${last}`);
    await follow(served, '/feeds/prices/b', `Last-Event-ID: ${first}`);
    await follow(served, `/feeds/prices/a?since=${first}`);
    await follow(served, `/feeds?id=prices/a&id=news&since=${first}`);
    await publish('prices/a', 5);
    await follow(served, `/feeds/prices/a?since=${first}`);
    await follow(served, '/feeds/news', 'Last-Event-ID: nonsense');
    await follow(served, `/feeds/news?since=${elsewhere}`);
    // Those give no position.
    for (const since of ['', '?since=earliest', '?since=latest', '?since=-1', '?mode=once'])
      await (await Peer.get(served.port, `/feeds/prices/a${since}`)).sees('\r\n\r\n');
    expect(await valuesOf('feed_resumes_total')).toEqual({
      '{result="live",rule="prices/*"}': 2,
      '{result="recovered",rule="prices/*"}': 2,
      '{result="reset",rule="prices/*"}': 1,
      '{result="reset",rule="none"}': 1,
      '{result="live",rule="none"}': 1,
    });
  });

  it('count the messages of replays, and how long those took', async () => {
    await start();
    await publish('prices/a', 3);
    await publish('news', 5);
    const all = await follow(served, '/feeds/prices/a?since=earliest');
    await all.sees('2\n');
    await (await follow(served, '/feeds/news?since=-2')).sees('4\n');
    await follow(served, '/feeds/news');
    await served.feeds.publish('news', 'live');
    expect(await valuesOf('feed_replay_messages_total')).toEqual({ '{rule="prices/*"}': 3, '{rule="none"}': 2 });
    expect(await valuesOf('feed_replay_duration_seconds_count')).toEqual({ '{rule="prices/*"}': 1, '{rule="none"}': 1 });
  });

  it('count how long connections were open, by why they ended', async () => {
    await start();
    const peers = [await follow(served, '/feeds/orders/7'), await follow(served, '/feeds/orders/7'), await follow(served, '/feeds/news')];
    peers[0]?.leave();
    await served.feeds.finish('news');
    await peers[2]?.closed();
    const last = await follow(served, '/feeds?id=prices/a&id=news');
    served.feeds.end('prices/a', 'aged');
    await last.closed();
    await until(() => served.feeds.counts().open === 1);
    const name = 'feed_connection_duration_seconds';
    const counted = { '{reason="client",rule="orders/7"}': 1, '{reason="completed",rule="none"}': 1, '{reason="aged",rule="prices/*"}': 1 };
    expect(await valuesOf(`${name}_count`)).toEqual(counted);
    expect(await valuesOf(`${name}_bucket`)).toMatchObject({
      '{reason="client",rule="orders/7",le="86400"}': 1,
      '{reason="aged",rule="prices/*",le="+Inf"}': 1,
    });
  });

  it('count the lag of each message once, however many get it', async () => {
    await start();
    for (let n = 0; n < 3; n += 1) await follow(served, '/feeds/prices/a');
    await follow(served, '/feeds/news');
    const subscription = served.feeds.messages('orders/7').subscribe();
    await until(() => served.feeds.subscribers('orders/7') === 1);
    await publish('prices/a', 4);
    await publish('news', 1);
    await publish('orders/7', 2);
    await publish('followed/by/none', 5);
    await served.feeds.finish('news');
    const name = 'feed_delivery_lag_seconds';
    expect(await valuesOf(`${name}_count`)).toEqual({ '{rule="prices/*"}': 4, '{rule="none"}': 2, '{rule="orders/7"}': 2 });
    const samples = await samplesOf(`${served.url}/metrics`);
    const buckets = [...samples].filter(([key]) => key.startsWith(`${name}_bucket{`) && key.includes('prices'));
    expect(buckets.map(([, value]) => value)).toEqual(buckets.map(([, value]) => value).toSorted((a, b) => a - b));
    expect(buckets.at(-1)).toEqual([`${name}_bucket{rule="prices/*",le="+Inf"}`, 4]);
    expect(samples.get(`${name}_sum{rule="prices/*"}`)).toBeGreaterThanOrEqual(0);
    subscription.unsubscribe();
  });

  it('count what is refused, by the code of the answer', async () => {
    await start({ jwtSecret, public: false, publishRatePerKey: 4, maxConnectionsPerClient: 1 });
    const { url } = served;
    const tokens = served.app.get(FeedTokenService, { strict: false });
    const token = `?token=${await tokens.create({ feeds: 'orders/*', subject: 'ada' })}`;
    const statusOf = async (path: string) => (await fetch(url + path)).status;
    expect(await statusOf('/feeds/prices/a')).toBe(401);
    expect(await statusOf(`/feeds/prices/a${token}`)).toBe(403);
    expect(await statusOf(`/feeds/orders/7${token}&format=xml`)).toBe(406);
    expect(await statusOf(`/feeds/orders/7${token}&last=0&mode=once`)).toBe(400);
    expect(await statusOf(`/feeds/orders/7${token}&since=junk`)).toBe(400);
    await follow(served, `/feeds/orders/7${token}`);
    expect(await statusOf(`/feeds/orders/7${token}`)).toBe(429);
    expect((await post(`${url}/feeds/prices/a`, 'x', { authorization: '' })).status).toBe(401);
    expect((await post(`${url}/feeds/prices/a`, 'x', { 'content-type': 'text/plain; charset=latin1' })).status).toBe(415);
    const messages = ['rare/a', 'rare/a', 'not an id', 'prices/a', 'prices/a', 'prices/b'].map((feed) => ({ feed, data: 1 }));
    const answer = await post(`${url}/feeds`, JSON.stringify({ messages }), asJson);
    expect(((await answer.json()) as { messages: { code?: string }[] }).messages.map(({ code }) => code)).toEqual([
      undefined,
      'FEED_TOO_MANY',
      'FEED_ID',
      undefined,
      undefined,
      'FEED_TOO_MANY',
    ]);
    expect((await post(`${url}/feeds`, '{"messages":[]}', asJson)).status).toBe(429);
    expect(await valuesOf('feed_requests_refused_total')).toEqual({
      '{code="FEED_UNAUTHORIZED",rule="prices/*"}': 2,
      '{code="FEED_FORBIDDEN",rule="prices/*"}': 1,
      '{code="FEED_FORMAT",rule="orders/7"}': 1,
      '{code="FEED_QUERY",rule="orders/7"}': 1,
      '{code="FEED_SINCE",rule="orders/7"}': 1,
      '{code="FEED_TOO_MANY",rule="orders/7"}': 1,
      '{code="FEED_MEDIA_TYPE",rule="prices/*"}': 1,
      '{code="FEED_TOO_MANY",rule="rare/*"}': 1,
      '{code="FEED_ID",rule="none"}': 1,
      '{code="FEED_TOO_MANY",rule="prices/*"}': 1,
      '{code="FEED_TOO_MANY",rule="none"}': 1,
    });
    expect(await valuesOf('feed_connections_rejected_total')).toEqual({
      '{reason="client"}': 1,
      '{reason="publishRate"}': 2,
      '{reason="feedRate"}': 1,
    });
  });

  it('have as many series as rules, whatever clients ask for', async () => {
    await start();
    const seriesOf = async () => [...(await samplesOf(`${served.url}/metrics`)).keys()].filter((key) => key.startsWith('feed_')).length;
    const act = async (n: number) => {
      await follow(served, `/feeds/any/${n}`);
      await served.feeds.publish(`any/${n}`, n);
      expect((await fetch(`${served.url}/feeds/%20${n}`)).status).toBe(400);
    };
    await act(0);
    const before = await seriesOf();
    for (let n = 1; n < 20; n += 1) await act(n);
    expect(await seriesOf()).toBe(before);
  });

  it('show the state of a webhook', async () => {
    let isDown = true;
    const target = createServer((request, response) => {
      request.resume().on('end', () => response.writeHead(isDown ? 503 : 200).end());
    }).listen(0, '127.0.0.1');
    await once(target, 'listening');
    atEnd(() => void target.closeAllConnections());
    atEnd(() => void target.close());
    const host = `127.0.0.1:${(target.address() as AddressInfo).port}`;
    const webhook = WebhookModule.forRoot({
      url: `http://user:password@${host}/hook?key=secret`,
      secret: 'any',
      batchMs: 0,
      retryMs: 1,
      maxRetryMs: 1,
    });
    served = await serveFeeds(platform, {}, { imports: [webhook, MetricsModule] });
    const label = `target="http://${host}/hook"`;
    await follow(served, '/feeds/a');
    await until(async () => (await valuesOf('feed_webhook_failing'))[`{${label}}`] === 1);
    expect((await valuesOf('feed_webhook_waiting_events'))[`{${label}}`]).toBe(2);
    isDown = false;
    await until(async () => (await valuesOf('feed_webhook_events_total'))[`{${label},result="sent"}`] === 2);
    const samples = await samplesOf(`${served.url}/metrics`);
    expect(samples.get(`feed_webhook_failing{${label}}`)).toBe(0);
    expect(samples.get(`feed_webhook_waiting_events{${label}}`)).toBe(0);
    expect(samples.get(`feed_webhook_events_total{${label},result="dropped"}`)).toBe(0);
    expect(samples.get(`feed_webhook_failures_total{${label}}`)).toBe(served.app.get(Webhook, { strict: false }).counts().failures);
  });
});

describe('measures', () => {
  afterEach(closeAll);

  const follows = (feeds: FeedService) => {
    const seen: unknown[] = [];
    feeds.messages('prices/a').subscribe(({ data }) => seen.push(data));
    return seen;
  };

  it('are of feeds, too, that the application follows before anything else is there', async () => {
    const early = { provide: 'SEEN', inject: [FeedService], useFactory: follows };
    const served = await serveFeeds('express', { rules }, { providers: [early, FeedMetrics] });
    const seen = served.app.get<unknown[]>('SEEN');
    await served.feeds.publish('prices/a', 1);
    await until(() => seen.length === 1);
    expect(await served.app.get(FeedMetrics).registry.metrics()).toContain('feed_delivery_lag_seconds_count{rule="prices/*"} 1\n');
  });

  it('and all other metrics are documented, with their labels', async () => {
    const webhook = WebhookModule.forRoot({ url: 'http://127.0.0.1:9/', secret: 'any' });
    const served = await serveFeeds('express', { rules }, { imports: [webhook, MetricsModule] });
    const text = await (await fetch(`${served.url}/metrics`)).text();
    const types = [...text.matchAll(/^# TYPE (feed_\w+) (\w+)$/gm)].map(([, name, type]) => `${name} ${type}`);
    const labelsOf = (name: string) =>
      [...(new RegExp(`^${name}(?:_count)?{(.*)}`, 'm').exec(text)?.[1] ?? '').matchAll(/(\w+)=/g)].map(([, label]) => label);
    const rows = [...readFileSync('docs/operating.md', 'utf8').matchAll(/^\| `(feed_\w+)` \| (\w+) \| (.*?) ?\| /gm)];
    const documented = rows.map(([, name, type, labels = '']) => ({ metric: `${name} ${type}`, labels: labels.match(/\w+/g) ?? [] }));
    const there = types.map((metric) => ({ metric, labels: labelsOf(metric.split(' ')[0] as string) }));
    const sorted = (all: { metric: string; labels: (string | undefined)[] }[]) =>
      all.map(({ metric, labels }) => `${metric} ${labels.toSorted()}`).toSorted();
    expect(sorted(documented)).toEqual(sorted(there));
  });

  it('are none without metrics', async () => {
    const served = await serveFeeds('express', { rules, publishKey });
    const peer = await follow(served, '/feeds/prices/a?since=earliest');
    const { id } = await served.feeds.publish('prices/a', 1);
    await peer.sees('1\n');
    peer.leave();
    await follow(served, `/feeds/prices/a?since=${id}`);
    expect((await post(`${served.url}/feeds/prices/a`, 'x', { authorization: '' })).status).toBe(401);
    await until(() => served.feeds.counts().closed.client === 1);
    const { all } = served.app.get(Measures, { strict: false });
    expect(all.map(({ rule }) => rule)).toEqual([...Object.keys(rules), 'none']);
    expect(
      all
        .flatMap(({ replayed, lag, replay, refused, resumes }) => [
          replayed,
          lag.count,
          replay.count,
          refused.size,
          ...Object.values(resumes),
        ])
        .filter(Boolean),
    ).toEqual([]);
  });
});

describeBrokers('the bytes of history, as metrics, with', (kind: BrokerKind) => {
  afterEach(closeAll);

  it('a broker that has it in this process, and of no other', async () => {
    const engine = await engineOf(kind);
    const broker = (context: Parameters<BrokerKind['make']>[1]) => kind.make(engine?.port ?? 0, context);
    const served = await serveFeeds('fastify', { broker }, { imports: [MetricsModule] });
    await served.feeds.publish('a', 'x'.repeat(10_000));
    const bytes = (await samplesOf(`${served.url}/metrics`)).get('feed_history_bytes');
    if (kind.name === 'redis') expect(bytes).toBeUndefined();
    else expect(bytes).toBeGreaterThan(10_000);
    expect(served.feeds.status.broker.historyBytes).toBe(bytes);
    await served.feeds.clear('a');
    if (bytes !== undefined) expect((await samplesOf(`${served.url}/metrics`)).get('feed_history_bytes')).toBeLessThan(bytes / 2);
  });
});
