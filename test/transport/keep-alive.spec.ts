import { interval, map } from 'rxjs';
import { HealthModule } from '../../src/health/index.js';
import { type FeedOptions } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { feedModule, platforms, type Served, serve, until } from '../support/serve.js';

describe.each(platforms)('the pulse on %s', (platform) => {
  let served: Served;
  const start = async (options: FeedOptions = {}) => {
    served = await serve(platform, { imports: [feedModule(options), HealthModule] });
  };
  const follow = async (path: string, ...headers: string[]) => {
    const { opened } = served.feeds.counts();
    const peer = await Peer.get(served.port, path, ...headers);
    await until(() => served.feeds.counts().opened > opened);
    return peer;
  };
  /** A client that does not read, and messages for it until some wait. */
  const clog = async (path: string, feed: string, padding = 'x'.repeat(60_000)) => {
    const peer = await follow(path);
    peer.socket.pause();
    while (served.feeds.count(feed).bufferedBytes === 0) {
      await served.feeds.publish(feed, padding);
      await new Promise(setImmediate);
    }
    return peer;
  };

  afterEach(async () => {
    Peer.leaveAll();
    await served.app.close();
  });

  it.each([
    ['text', /^\n\n/],
    ['sse', /^id: [a-z0-9]+-0\n\n:\n\n:\n\n/],
    ['ndjson', /^\n\n/],
  ])('breaks the silence of a connection in %s', async (format, silence) => {
    await start({ heartbeatMs: 40 });
    const peer = await follow(`/feeds/a?format=${format}`);
    await until(() => silence.test(peer.body));
    const { messages } = served.feeds.counts();
    expect(messages).toBe(0);
  });

  it('gives no heartbeat to a connection that is not silent', async () => {
    await start({ heartbeatMs: 400, source: () => interval(20).pipe(map((n) => `${n}`)) });
    const peer = await follow('/feeds/a');
    await peer.sees('\n50\n');
    expect(peer.body).not.toContain('\n\n');
  });

  it('ends a connection for which bytes wait and none moves, and no other', async () => {
    await start({ stallMs: 100, bufferBytes: 1 << 26 });
    const reading = await follow('/feeds/a');
    const clogged = await clog('/feeds/a', 'a');
    await until(() => served.feeds.counts().closed.stalled === 1);
    await served.feeds.publish('a', 'the end');
    await reading.sees('the end\n');
    expect(served.feeds.counts()).toMatchObject({ open: 1, bufferedBytes: 0, closed: { slow: 0 } });
    clogged.leave();
  });

  it('cuts off a connection that was ended and does not read its end', async () => {
    await start({ stallMs: 100, bufferBytes: 1 << 26 });
    const clogged = await clog('/feeds/a', 'a');
    served.feeds.end('a');
    await until(() => served.feeds.counts().open === 0);
    expect(served.feeds.counts().closed).toMatchObject({ completed: 1, stalled: 0 });
    clogged.leave();
  });

  it('lets a slow client go on that does read', async () => {
    await start({ stallMs: 400, bufferBytes: 1 << 26 });
    const peer = await clog('/feeds/a', 'a');
    for (let n = 0; n < 100; n += 1) await served.feeds.publish('a', 'y'.repeat(60_000));
    await served.feeds.publish('a', 'the end');
    // A little every 50 ms, for many times the limit.
    while (!peer.text.includes('the end')) {
      const before = peer.text.length;
      peer.socket.resume();
      await until(() => peer.text.length - before > 300_000 || peer.text.includes('the end'));
      peer.socket.pause();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(served.feeds.counts()).toMatchObject({ open: 1, closed: { stalled: 0, slow: 0 } });
  });

  it('ends connections that have had their time, in good order', async () => {
    await start({ maxAgeMs: 100 });
    const peers = await Promise.all(['/feeds/a', '/feeds/b'].map((path) => follow(path)));
    for (const peer of peers) {
      await peer.closed();
      expect(peer.isComplete).toBe(true);
    }
    expect(served.feeds.counts().closed).toMatchObject({ aged: 2, expired: 0 });
  });

  it('ends the connections for which most waits, when too much waits for all', async () => {
    const totalBufferBytes = 1 << 20;
    await start({ totalBufferBytes, bufferBytes: 1 << 26, stallMs: 0 });
    const reading = await follow('/feeds/a');
    const clogged = await Promise.all(['/feeds/a', '/feeds/a', '/feeds/a'].map((path) => follow(path)));
    for (const peer of clogged) peer.socket.pause();
    let sent = 0;
    const padding = 'x'.repeat(60_000);
    while (served.feeds.counts().closed.slow < 3) {
      sent += padding.length + 1;
      await served.feeds.publish('a', padding);
      await until(() => reading.body.length >= sent);
      expect(served.feeds.counts().bufferedBytes).toBeLessThan(totalBufferBytes * (1 + 1 / 16) + 3 * 60_100);
    }
    await until(() => served.feeds.counts().open === 1);
    expect(served.feeds.counts().closed).toMatchObject({ slow: 3, client: 0 });
  });

  it('keeps no timer when nobody is connected', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    await start({ heartbeatMs: 40 });
    const before = timers();
    const peer = await follow('/feeds/a');
    peer.leave();
    await until(() => served.feeds.counts().open === 0);
    await until(() => timers() <= before);
  });
});

describe.each(platforms)('draining on %s', (platform) => {
  it('tells load balancers first, goes on for a while, then ends each feed in good order with a time to come back', async () => {
    const served = await serve(platform, { imports: [feedModule({ lameDuckMs: 500 }), HealthModule] });
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

  it('tells load balancers first, also where nobody is connected', async () => {
    const served = await serve(platform, { imports: [feedModule({ lameDuckMs: 300 }), HealthModule] });
    const closing = served.app.close();
    expect((await fetch(`${served.url}/health/ready`)).status).toBe(503);
    const late = await Peer.get(served.port, '/feeds/a');
    await closing;
    expect(late.isComplete).toBe(true);
  });

  it('refuses new feeds once the feeds are being ended', async () => {
    const served = await serve(platform, { imports: [feedModule()] });
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
