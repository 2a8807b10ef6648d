import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Counter, Registry } from 'prom-client';
import { MemoryBroker } from '../../src/feed/broker/memory/memory-broker.js';
import { BrokerUnavailableError } from '../../src/feed/errors/broker.errors.js';
import { FeedMetrics, MetricsModule } from '../../src/metrics/index.js';
import { Engine, env, missing } from '../../tools/engines.mjs';
import { Peer } from '../support/peer.js';
import { Run } from '../support/run.js';
import { feedModule, platforms, serve, until } from '../support/serve.js';

// tools/engines.mjs, which the test command runs first, says so where these are missing
const absent = missing();
const withPromtool = absent.includes('promtool') ? it.skip : it;
const withRedis = absent.includes('redis-server') ? it.skip : it;

const folder = 'deploy/prometheus';

/** Samples by name and labels, as they are written. */
async function samplesOf(url: string): Promise<Map<string, number>> {
  const lines = (await (await fetch(url)).text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

function promtool(...args: string[]): void {
  const { status, stdout, stderr } = spawnSync('promtool', args, { env, encoding: 'utf8', cwd: folder });
  expect({ status, said: status === 0 ? '' : stdout + stderr }).toEqual({ status: 0, said: '' });
}

/** The example in the comment, in the place of what it stands beside. */
function uncommented(config: string): string {
  const [head, example] = config.split(/^ {2}- job_name[\s\S]*in the place of that:\n/m) as [string, string];
  return head + example.replaceAll(/^( +)# /gm, '$1');
}

afterEach(() => {
  Peer.leaveAll();
  Run.endAll();
});

describe.each(platforms)('metrics on %s', (platform) => {
  it('tell what the feeds do', async () => {
    const served = await serve(platform, { imports: [feedModule({ maxConnections: 3 }), MetricsModule] });
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
    await served.app.close();
  });

  it('are text that Prometheus knows, and nothing else can be asked for', async () => {
    const served = await serve(platform, { imports: [feedModule(), MetricsModule] });
    const response = await fetch(`${served.url}/metrics`);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    const warned: string[] = [];
    served.app.useLogger({ log: () => {}, error: () => {}, warn: (message: string) => warned.push(message) });
    const wrong = await fetch(`${served.url}/metrics?scope=everything`);
    expect([wrong.status, ((await wrong.json()) as { code: string }).code]).toEqual([400, 'METRICS_SCOPE']);
    expect(wrong.headers.get('content-type')).toMatch(/^application\/json/);
    served.app.useLogger(false);
    expect(warned).toEqual([]);
    await served.app.close();
  });
});

describe('metrics', () => {
  withPromtool('are as Prometheus wants them, and so are the alerts', async () => {
    const served = await serve('express', { imports: [feedModule(), MetricsModule] });
    const input = await (await fetch(`${served.url}/metrics`)).text();
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { env, encoding: 'utf8', input });
    expect({ status, said: stdout + stderr }).toEqual({ status: 0, said: '' });
    promtool('check', 'rules', 'alerts.yml');
    promtool('test', 'rules', 'alerts.test.yml');
    await served.app.close();
  });

  withPromtool('are scraped by what Prometheus takes', async () => {
    const temporary = await mkdtemp(join(tmpdir(), 'nestjs-feed-prometheus-'));
    await cp(folder, temporary, { recursive: true });
    // Debian's promtool is built without Kubernetes.
    const wanted = /kubernetes_sd_configs: .*/;
    const config = await readFile(join(folder, 'prometheus.yml'), 'utf8');
    expect(config).toMatch(wanted);
    const path = join(temporary, 'prometheus.yml');
    for (const text of [config.replace(wanted, "static_configs: [{ targets: ['feed-1:8080'] }]"), uncommented(config)]) {
      await writeFile(path, text);
      promtool('check', 'config', path);
    }
    await rm(temporary, { recursive: true });
  });

  it('are those that the alerts and the Grafana dashboard ask for', async () => {
    const served = await serve('express', { imports: [feedModule({ maxConnections: 1 }), MetricsModule] });
    const names = new Set([...(await samplesOf(`${served.url}/metrics`)).keys()].map((key) => key.replace(/\{.*/, '')));
    for (const file of (await readdir(folder)).filter((name) => name !== 'prometheus.yml')) {
      const asked = (await readFile(`${folder}/${file}`, 'utf8')).match(/\b(?:feed|nodejs|process)_[a-z0-9_]+/g) ?? [];
      expect(asked.length).toBeGreaterThan(10);
      expect({ file, unknown: asked.filter((name) => !names.has(name)) }).toEqual({ file, unknown: [] });
    }
    await served.app.close();
  });

  it('have no limit where there is none', async () => {
    const served = await serve('express', { imports: [feedModule({ maxConnections: 0 }), MetricsModule] });
    expect((await samplesOf(`${served.url}/metrics`)).has('feed_connections_limit')).toBe(false);
    await served.app.close();
  });

  it('say that the broker is unavailable, and count what it does not accept', async () => {
    class UnavailableBroker extends MemoryBroker {
      override readonly name = 'distant' as never;
      override readonly unavailableSince = Date.now() as never;
      override async publish(): Promise<never> {
        throw new BrokerUnavailableError('unavailable');
      }
    }
    const served = await serve('express', {
      imports: [feedModule({ broker: (context) => new UnavailableBroker(context) }), MetricsModule],
    });
    await expect(served.feeds.publish('a', 1)).rejects.toThrow();
    await expect(served.feeds.publish('not an id', 1)).rejects.toThrow();
    const samples = await samplesOf(`${served.url}/metrics`);
    expect(samples.get('feed_broker_up{broker="distant"}')).toBe(0);
    expect(samples.get('feed_publish_failures_total')).toBe(1);
    expect(samples.get('feed_publish_duration_seconds_count')).toBe(0);
    await served.app.close();
  });

  it("go into an application's own registry", async () => {
    const served = await serve('express', { imports: [feedModule()], providers: [FeedMetrics] });
    const own = new Registry();
    new Counter({ name: 'orders_total', help: 'Orders.', registers: [own] });
    const text = await Registry.merge([own, served.app.get(FeedMetrics).registry]).metrics();
    expect(text).toContain('orders_total 0');
    expect(text).toContain('feed_connections_open 0');
    expect(text).not.toContain('process_');
    await served.app.close();
  });

  withRedis('of every worker are told by any', async () => {
    const redis = await Engine.start('redis');
    const service = await Run.service({ WORKERS: '2', FEED_BROKER: redis.url, FEED_MAX_CONNECTIONS: '100', FEED_INTERVAL_MS: '0' });
    const peers = await Promise.all(Array.from({ length: 10 }, (_, n) => Peer.get(service.port, `/test/${n}`)));
    await Promise.all(peers.map((peer) => peer.sees('\r\n\r\n')));
    const all = await samplesOf(`${service.url}/metrics`);
    const open = [1, 2].map((worker) => all.get(`feed_connections_open{worker="${worker}"}`) ?? Number.NaN);
    expect((open[0] as number) + (open[1] as number)).toBe(10);
    expect(all.get('feed_connections_closed_total{reason="client",worker="2"}')).toBe(0);
    expect(all.get('feed_publish_duration_seconds_bucket{le="+Inf",worker="1"}')).toBe(0);
    expect(all.get('process_start_time_seconds{worker="2"}')).toBeGreaterThan(1e9);
    expect([...all.keys()].filter((key) => !/\bworker="[12]"/.test(key))).toEqual([]);
    const one = await samplesOf(`${service.url}/metrics?scope=worker`);
    expect([...one.keys()].filter((key) => key.startsWith('feed_connections_open{'))).toHaveLength(1);
    service.child.kill('SIGTERM');
    expect(await service.exit).toBe(0);
    await redis.stop();
  });
});
