import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Controller, HttpCode, Post } from '@nestjs/common';
import { MemoryBroker } from '../../src/feed/broker/memory/memory-broker.js';
import { HealthModule } from '../../src/health/index.js';
import { Peer } from '../support/peer.js';
import { closeAll, platforms, serveFeeds, until } from '../support/serve.js';

afterEach(closeAll);

/** A broker whose server never answers a read. */
class SilentBroker extends MemoryBroker {
  override read(): Promise<never> {
    return new Promise(() => {});
  }
}

@Controller('orders')
class OrdersController {
  static readonly answers: (() => void)[] = [];

  @Post()
  @HttpCode(200)
  order(): Promise<string> {
    return new Promise((resolve) => OrdersController.answers.push(() => resolve('ordered')));
  }
}

describe.each(platforms)('draining on %s', (platform) => {
  it('tells load balancers first, goes on for a while, then ends each feed in good order with a time to come back', async () => {
    const served = await serveFeeds(platform, { lameDuckMs: 4000 }, { imports: [HealthModule] });
    const early = await Peer.get(served.port, '/feeds/a?format=sse');
    await until(() => served.feeds.counts().open === 1);
    const closing = served.app.close();
    expect((await fetch(`${served.url}/health/ready`)).status).toBe(503);
    const late = await Promise.all(Array.from({ length: 20 }, () => Peer.get(served.port, '/feeds/a?format=sse')));
    await until(() => served.feeds.counts().open === 21);
    await served.feeds.publish('a', 'still here');
    await early.sees('still here');
    await until(() => served.feeds.counts().open < 21);
    await closing;
    const retries = [early, ...late].map((peer) => {
      expect(peer.isComplete).toBe(true);
      const retry = Number(/\nretry: (\d+)\n\n$/.exec(peer.body)?.[1]);
      expect(retry).toBeGreaterThanOrEqual(500);
      expect(retry).toBeLessThanOrEqual(5000);
      return retry;
    });
    expect(new Set(retries).size).toBeGreaterThan(10);
    expect(served.feeds.counts().closed).toMatchObject({ drained: 21 });
  });

  it('is not held up by a client that comes between the end of the drain and the close of the server', async () => {
    const served = await serveFeeds(platform, { drainMs: 0 });
    const idle = await Peer.to(served.port);
    const server = served.app.getHttpServer();
    const late: Peer[] = [];
    const close = server.close.bind(server);
    server.close = (then: () => void) => {
      void (async () => {
        await sleep(0); // the drain time, whose timer began before this one, is up
        await idle.closed();
        const [peer] = await Promise.all([Peer.to(served.port), once(server, 'connection')]);
        late.push(peer);
        close(then);
      })();
      return server;
    };
    await served.app.close();
    expect(await late[0]?.closed()).toMatch(/^HTTP\/1.1 503 /);
  });

  it('is not held up by a connection that its client keeps behind the last answer', async () => {
    const served = await serveFeeds(platform, { drainMs: 0 }, { controllers: [OrdersController] });
    const order = await Peer.to(served.port);
    order.send('POST /orders HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n');
    await until(() => OrdersController.answers.length === 1);
    const idle = await Peer.to(served.port);
    const closing = served.app.close();
    await idle.closed(); // the drain is over
    for (const answer of OrdersController.answers.splice(0)) answer();
    await order.sees('ordered');
    await Promise.all([order.closed(), closing]);
  });

  it.each([0, 200])('lets the requests of the application end, however long they take, with a drain time of %i ms', async (drainMs) => {
    const served = await serveFeeds(platform, { drainMs }, { controllers: [OrdersController] });
    const order = await Peer.to(served.port);
    order.send('POST /orders HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    await until(() => OrdersController.answers.length === 1);
    const half = await Peer.to(served.port);
    half.send('GET /feeds/a HTTP/1.1\r\nHo');
    const feed = await Peer.get(served.port, '/feeds/a');
    await feed.sees('\r\n\r\n');
    const closing = served.app.close();
    // The time is up: what waits for nothing but itself is closed.
    await Promise.all([half.closed(), feed.closed()]);
    OrdersController.answers.pop()?.();
    await order.sees('ordered');
    await closing;
  });

  it('cuts a feed that still waits for the broker when the drain time is up', async () => {
    const served = await serveFeeds(platform, { drainMs: 100, broker: (context) => new SilentBroker(context) });
    const peer = await Peer.get(served.port, '/feeds/a');
    await until(() => served.feeds.subscribers('a') === 1);
    await served.app.close();
    await peer.closed();
    expect(peer.text).toBe('');
  });

  it('tells load balancers first, also where nobody is connected', async () => {
    const served = await serveFeeds(platform, { lameDuckMs: 2000 }, { imports: [HealthModule] });
    const closing = served.app.close();
    expect((await fetch(`${served.url}/health/ready`)).status).toBe(503);
    const late = await Peer.get(served.port, '/feeds/a');
    await closing;
    expect(late.isComplete).toBe(true);
  });

  it('refuses new feeds once the feeds are being ended', async () => {
    const served = await serveFeeds(platform);
    const peers = await Promise.all(Array.from({ length: 300 }, (_, n) => Peer.get(served.port, `/feeds/${n}`)));
    await until(() => served.feeds.counts().open === 300);
    const closing = served.app.close();
    await until(() => served.feeds.counts().open < 300);
    const refused = await fetch(`${served.url}/feeds/a`);
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('5');
    await closing;
    for (const peer of peers) {
      await peer.closed();
      expect(peer.isComplete).toBe(true);
    }
  });
});
