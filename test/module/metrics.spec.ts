import { Counter, Registry } from 'prom-client';
import { MemoryBroker } from '../../src/feed/broker/memory/memory-broker.js';
import { BrokerUnavailableError } from '../../src/feed/errors/broker.errors.js';
import { FeedMetrics, MetricsModule } from '../../src/metrics/index.js';
import { Peer } from '../support/peer.js';
import { samplesOf } from '../support/samples.js';
import { closeAll, platforms, serveFeeds, until } from '../support/serve.js';

afterEach(closeAll);

describe.each(platforms)('metrics on %s', (platform) => {
  it('count connections, messages and bytes', async () => {
    const served = await serveFeeds(platform, { maxConnections: 3 }, { imports: [MetricsModule] });
    const { url, port, feeds } = served;
    const peers = await Promise.all([1, 2, 2].map((id) => Peer.get(port, `/feeds/${id}`)));
    await Promise.all(peers.map((peer) => peer.sees('\r\n\r\n')));
    expect((await fetch(`${url}/feeds/3`)).status).toBe(503);
    await feeds.publish('2', 'hello');
    await feeds.publishMany(['1', '2'], 'hi');
    expect(Object.fromEntries(await samplesOf(`${url}/metrics`))).toMatchObject({
      feed_connections_open: 3,
      feed_connections_peak: 3,
      feed_connections_opened_total: 3,
      'feed_connections_closed_total{reason="client"}': 0,
      'feed_connections_rejected_total{reason="limit"}': 1,
      feed_connections_handed_over: 3,
      feed_connections_limit: 3,
      feed_feeds_followed: 2,
      feed_messages_sent_total: 5,
      feed_sent_bytes_total: 'hello\nhello\nhi\nhi\nhi\n'.length,
      feed_buffered_bytes: 0,
      'feed_publish_duration_seconds_bucket{le="+Inf"}': 2,
      feed_publish_duration_seconds_count: 2,
      feed_publish_failures_total: 0,
      'feed_broker_up{broker="memory"}': 1,
      feed_nodes: 1,
      feed_draining: 0,
      process_resident_memory_bytes: expect.any(Number),
      nodejs_eventloop_lag_p99_seconds: expect.any(Number),
    });
    peers[0]?.leave();
    await until(async () => (await samplesOf(`${url}/metrics`)).get('feed_connections_closed_total{reason="client"}') === 1);
    const again = await samplesOf(`${url}/metrics?scope=worker`);
    expect([again.get('feed_connections_open'), again.get('feed_connections_opened_total')]).toEqual([2, 3]);
  });

  it('are in the text format of Prometheus, and an unknown scope is rejected', async () => {
    const served = await serveFeeds(platform, {}, { imports: [MetricsModule] });
    const response = await fetch(`${served.url}/metrics`);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const warned: string[] = [];
    served.app.useLogger({ log: () => {}, error: () => {}, warn: (message: string) => warned.push(message) });
    const wrong = await fetch(`${served.url}/metrics?scope=everything`);
    expect([wrong.status, ((await wrong.json()) as { code: string }).code]).toEqual([400, 'METRICS_SCOPE']);
    expect(wrong.headers.get('content-type')).toMatch(/^application\/json/);
    served.app.useLogger(false);
    expect(warned).toEqual([]);
  });
});

describe('metrics', () => {
  it('leave out the limit where connections have none', async () => {
    const served = await serveFeeds('express', { maxConnections: 0 }, { imports: [MetricsModule] });
    expect((await samplesOf(`${served.url}/metrics`)).has('feed_connections_limit')).toBe(false);
  });

  it('say that the broker is unavailable, and count what it does not accept', async () => {
    class UnavailableBroker extends MemoryBroker {
      override readonly name = 'distant' as never;
      override readonly unavailableSince = Date.now() as never;
      override async publish(): Promise<never> {
        throw new BrokerUnavailableError('unavailable');
      }
    }
    const served = await serveFeeds('express', { broker: (context) => new UnavailableBroker(context) }, { imports: [MetricsModule] });
    await expect(served.feeds.publish('a', 1)).rejects.toThrow();
    await expect(served.feeds.publish('not an id', 1)).rejects.toThrow();
    const samples = await samplesOf(`${served.url}/metrics`);
    expect(samples.get('feed_broker_up{broker="distant"}')).toBe(0);
    expect(samples.get('feed_publish_failures_total')).toBe(1);
    expect(samples.get('feed_publish_duration_seconds_count')).toBe(0);
  });

  it("go into an application's own registry", async () => {
    const served = await serveFeeds('express', {}, { providers: [FeedMetrics] });
    const own = new Registry();
    new Counter({ name: 'orders_total', help: 'Orders.', registers: [own] });
    const text = await Registry.merge([own, served.app.get(FeedMetrics).registry]).metrics();
    expect(text).toContain('orders_total 0');
    expect(text).toContain('feed_connections_open 0');
    expect(text).not.toContain('process_');
  });
});
