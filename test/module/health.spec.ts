import { hostname } from 'node:os';
import { Controller, Get } from '@nestjs/common';
import { HealthCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus';
import { MemoryBroker } from '../../src/feed/broker/memory/memory-broker.js';
import { FeedHealthIndicator, HealthModule } from '../../src/health/index.js';
import { type BrokerFactory } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { closeAll, platforms, publishKey, serveFeeds, until } from '../support/serve.js';
import { jwtSecret, sign } from '../support/tokens.js';

afterEach(closeAll);

describe.each(platforms)('health on %s', (platform) => {
  it('tells what is open, what was, and what the process costs', async () => {
    const served = await serveFeeds(platform, { intervalMs: 10, maxConnections: 100 }, { imports: [HealthModule] });
    const connections = async (query = ''): Promise<Record<string, unknown>> =>
      (await fetch(`${served.url}/health/connections${query}`)).json() as Promise<Record<string, unknown>>;
    const peers = await Promise.all([1, 2, 2].map((id) => Peer.get(served.port, `/feeds/${id}`)));
    await Promise.all(peers.map((peer) => peer.sees('Chunk 2')));
    expect(await connections()).toEqual({
      open: 3,
      peak: 3,
      opened: 3,
      rejected: 0,
      rejectedBy: { limit: 0, feed: 0, client: 0, rate: 0, publishRate: 0, feedRate: 0, broker: 0, overload: 0, draining: 0 },
      closed: {
        client: 0,
        slow: 0,
        stalled: 0,
        expired: 0,
        aged: 0,
        completed: 0,
        error: 0,
        drained: 0,
        disconnected: 0,
        revoked: 0,
        lost: 0,
      },
      feeds: 2,
      handedOver: 3,
      messages: expect.any(Number),
      bytes: expect.any(Number),
      bufferedBytes: 0,
      limit: 100,
      rssBytes: expect.any(Number),
      eventLoopDelayMs: { p50: expect.any(Number), p99: expect.any(Number) },
    });
    expect(await connections('?id=2')).toEqual({ id: '2', open: 2, bufferedBytes: 0 });
    expect(await connections('?id=nobody')).toEqual({ id: 'nobody', open: 0, bufferedBytes: 0 });
    expect(await connections('?scope=service')).toMatchObject({ open: 3 });
    expect(await connections('?scope=worker')).toMatchObject({ pid: process.pid, open: 3 });
    expect(await connections('?scope=worker&id=2')).toEqual({ id: '2', open: 2, bufferedBytes: 0, pid: process.pid });
    expect(await connections('?scope=cluster')).toMatchObject({ open: 3, nodes: [{ name: `${hostname()}-${process.pid}`, open: 3 }] });
    expect(await connections('?id=1&id=2')).toMatchObject({ code: 'HEALTH_SCOPE' });
    expect(await connections('?scope=all')).toMatchObject({ code: 'HEALTH_SCOPE', message: 'scope is worker, service or cluster.' });
    const name = `${hostname()}-${process.pid}`;
    expect(await connections('?scope=cluster&id=2')).toEqual({ id: '2', open: 2, users: 0, nodes: [{ name, open: 2 }], missing: [] });
    Peer.leaveAll();
    await until(async () => (await connections()).open === 0);
    expect(await connections()).toMatchObject({ peak: 3, closed: { client: 3 }, feeds: 0 });
  });

  it('tells who follows a feed to those alone who may read it', async () => {
    const { url } = await serveFeeds(platform, { jwtSecret, publishKey }, { imports: [HealthModule] });
    const ask = async (query: string, token?: string) => {
      const answer = await fetch(`${url}/health/connections?${query}`, { headers: token ? { authorization: `Bearer ${token}` } : {} });
      const { code, open } = (await answer.json()) as { code?: string; open?: number };
      return [answer.status, code ?? open];
    };
    const token = await sign({ feeds: 'a' });
    for (const scope of ['', '&scope=worker']) {
      expect(await ask(`id=a${scope}`)).toEqual([401, 'FEED_UNAUTHORIZED']);
      expect(await ask(`id=a${scope}`, token)).toEqual([200, 0]);
      expect(await ask(`id=b${scope}`, token)).toEqual([403, 'FEED_FORBIDDEN']);
      expect(await ask(`id=b${scope}`, publishKey)).toEqual([200, 0]);
      for (const id of ['x'.repeat(14_000), '', '$nodes', '..'])
        expect(await ask(`id=${id}${scope}`, publishKey)).toEqual([400, 'FEED_ID']);
      expect(await ask(scope)).toEqual([200, 0]);
    }
  });

  it('is ready until the limit is near, and lives on', async () => {
    const served = await serveFeeds(platform, { intervalMs: 1000, maxConnections: 2 }, { imports: [HealthModule] });
    const status = async (path: string) => (await fetch(served.url + path)).status;
    expect(await Promise.all(['/health', '/health/live', '/health/ready'].map(status))).toEqual([200, 200, 200]);
    const peers = await Promise.all([1, 2].map((id) => Peer.get(served.port, `/feeds/${id}`)));
    await Promise.all(peers.map((peer) => peer.sees('welcomes')));
    expect(await Promise.all(['/health', '/health/live', '/health/ready'].map(status))).toEqual([503, 200, 503]);
    expect(await (await fetch(`${served.url}/health/ready`)).json()).toMatchObject({
      status: 'error',
      error: { feeds: { status: 'down', open: 2, limit: 2, message: 'near the limit' } },
    });
    Peer.leaveAll();
    await until(async () => (await status('/health/ready')) === 200);
  });

  it('stays ready while its broker is unavailable, and says so', async () => {
    let unavailableSince: number | undefined;
    const broker: BrokerFactory = (context) =>
      Object.defineProperties(new MemoryBroker(context), { unavailableSince: { get: () => unavailableSince } });
    const served = await serveFeeds(platform, { broker }, { imports: [HealthModule] });
    const ready = async () => {
      const answer = await fetch(`${served.url}/health/ready`);
      return { status: answer.status, broker: ((await answer.json()) as { info: { broker: unknown } }).info.broker };
    };
    expect(await ready()).toEqual({ status: 200, broker: { status: 'up', state: 'ok', broker: 'memory' } });
    unavailableSince = Date.UTC(2026, 0, 1);
    const degraded = { status: 'up', state: 'degraded', broker: 'memory', unavailableSince: '2026-01-01T00:00:00.000Z' };
    expect(await ready()).toEqual({
      status: 200,
      broker: { ...degraded, message: expect.stringMatching(/^The message broker is unavailable: /) },
    });
    expect(await (await fetch(`${served.url}/health/live`)).json()).toMatchObject({ info: {} });
    unavailableSince = undefined;
    expect((await ready()).broker).toMatchObject({ state: 'ok' });
  });

  it("gives its indicator to the application's own check", async () => {
    @Controller('status')
    class StatusController {
      constructor(
        private readonly health: HealthCheckService,
        private readonly feeds: FeedHealthIndicator,
      ) {}

      @Get()
      @HealthCheck()
      check() {
        return this.health.check([() => this.feeds.isHealthy('streams')]);
      }
    }
    const more = { imports: [TerminusModule], controllers: [StatusController], providers: [FeedHealthIndicator] };
    const served = await serveFeeds(platform, {}, more);
    expect(await (await fetch(`${served.url}/status`)).json()).toMatchObject({
      status: 'ok',
      info: { streams: { status: 'up', open: 0 } },
    });
  });
});
