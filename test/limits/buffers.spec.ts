import { Controller } from '@nestjs/common';
import { concat, of, Subject, throwError } from 'rxjs';
import { Feed } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { closeAll, follow, type ModuleOptions, platforms, type Served, serveFeeds, until } from '../support/serve.js';

afterEach(closeAll);

describe.each(platforms)('unsent bytes on %s', (platform) => {
  let served: Served;
  const start = async (options: ModuleOptions) => {
    served = await serveFeeds(platform, options);
  };
  /** A client that does not read, and messages for it until some wait. */
  const clog = async (path: string, feed: string, padding = 'x'.repeat(60_000)) => {
    const peer = await follow(served, path);
    peer.socket.pause();
    while (served.feeds.count(feed).bufferedBytes === 0) {
      await served.feeds.publish(feed, padding);
      await new Promise(setImmediate);
    }
    return peer;
  };

  it('ends a connection for which bytes wait and none moves, and no other', async () => {
    await start({ stallMs: 100, bufferBytes: 1 << 26 });
    const reading = await follow(served, '/feeds/a');
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
    await start({ stallMs: 2000, bufferBytes: 1 << 26 });
    const peer = await clog('/feeds/a', 'a');
    for (let n = 0; n < 100; n += 1) await served.feeds.publish('a', 'y'.repeat(60_000));
    await served.feeds.publish('a', 'the end');
    // A little every 150 ms, for longer than the limit.
    while (!peer.text.includes('the end')) {
      const before = peer.text.length;
      peer.socket.resume();
      await until(() => peer.text.length - before > 300_000 || peer.text.includes('the end'));
      peer.socket.pause();
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    expect(served.feeds.counts()).toMatchObject({ open: 1, closed: { stalled: 0, slow: 0 } });
  });

  it('does not count what waited for connections that failed before they were opened', async () => {
    @Controller('failing')
    class FailingController {
      @Feed()
      follow() {
        return concat(
          of('x'.repeat(100_000)),
          throwError(() => new Error('no source')),
        );
      }
    }
    served = await serveFeeds(platform, { totalBufferBytes: 1 << 20, bufferBytes: 1 << 26 }, { controllers: [FailingController] });
    for (let n = 0; n < 50; n += 1) expect((await fetch(`${served.url}/failing`)).status).toBe(500);
    const clogged = await clog('/feeds/a', 'a');
    await served.feeds.publish('a', 'y'.repeat(200_000));
    await served.feeds.publish('a', 'the end');
    clogged.socket.resume();
    await clogged.sees('the end');
    expect(served.feeds.counts()).toMatchObject({ open: 1, closed: { slow: 0 } });
  });

  it('ends the connections for which most waits, when too much waits for all', async () => {
    const totalBufferBytes = 1 << 20;
    await start({ totalBufferBytes, bufferBytes: 1 << 26, stallMs: 0 });
    const reading = await follow(served, '/feeds/a');
    const clogged = await Promise.all(['/feeds/a', '/feeds/a', '/feeds/a'].map((path) => follow(served, path)));
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

  it('is cut off once more than bufferBytes wait for it, and nobody else is', async () => {
    const said = new Subject<string>();
    const served = await serveFeeds(platform, { bufferBytes: 65_536, source: () => said });
    const [slow, fast] = await Promise.all([Peer.get(served.port, '/feeds/slow'), Peer.get(served.port, '/feeds/fast')]);
    await Promise.all([slow.sees('\r\n\r\n'), fast.sees('\r\n\r\n')]);
    slow.socket.pause();
    const line = 'x'.repeat(65_535);
    let sent = 0;
    while (served.feeds.counts().closed.slow === 0) {
      said.next(line);
      sent += 1;
      await until(() => served.feeds.count('fast').bufferedBytes === 0);
      expect(served.feeds.count('slow').bufferedBytes).toBeLessThan(3 * 65_536);
    }
    await until(() => fast.body.length === sent * 65_536);
    expect(served.feeds.counts()).toMatchObject({ open: 1, closed: { slow: 1 } });
  });
});
