import { Controller, Get, VersioningType } from '@nestjs/common';
import { NEVER } from 'rxjs';
import { HealthModule } from '../../src/health/index.js';
import { Feed } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import {
  closeAll,
  feedModule,
  follow,
  type ModuleOptions,
  platforms,
  publishKey,
  type Served,
  serve,
  serveFeeds,
  until,
} from '../support/serve.js';

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`;
const post = (path: string) =>
  `POST ${path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer ${publishKey}\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n#`;

/** Connects peers, all at once; each sends what it has to say. */
function atOnce(port: number, requests: string[]): Promise<Peer[]> {
  return Promise.all(
    requests.map(async (request) => {
      const peer = await Peer.to(port);
      peer.send(request);
      return peer;
    }),
  );
}

/** Waits for the heads of the answers. */
async function statuses(peers: Peer[]): Promise<number[]> {
  await Promise.all(peers.map((peer) => peer.sees('\r\n\r\n')));
  return peers.map(({ status }) => status);
}

/** How those are answered that get no feed: a busy machine may open none in time. */
const withoutFeed = (all: number[]) => new Set(all.filter((status) => status !== 200));

const feeds = (count: number, prefix = '') => Array.from({ length: count }, (_, n) => get(`${prefix}/feeds/${n}`));

/** Takes so long on any machine that what comes at once comes faster than it is opened. */
function slowSource() {
  const begun = performance.now();
  while (performance.now() - begun < 2);
  return NEVER;
}

@Controller({ path: 'pages', version: '1' })
class PagesController {
  @Feed(':id')
  page() {
    return slowSource();
  }

  /** A route of its own, whose path that of the feed would match as well. */
  @Get('list')
  list() {
    return { pages: [] };
  }
}

describe.each(platforms)('requests for feeds that come faster than they are opened, on %s', (platform) => {
  let served: Served;
  /** The first feed that is opened shows where feeds are. */
  const start = async (options: ModuleOptions) => {
    served = await serveFeeds(platform, { publishKey, public: true, ...options }, { imports: [HealthModule] });
    await follow(served, '/feeds/first');
  };

  afterEach(closeAll);

  it('are opened in time, or refused at once with 503 and Retry-After', async () => {
    await start({ maxOpenDelayMs: 4, source: slowSource });
    const peers = await atOnce(served.port, feeds(400));
    const all = await statuses(peers);
    const refused = peers.filter(({ status }) => status === 503);
    expect(withoutFeed(all)).toEqual(new Set([503]));
    for (const peer of refused) {
      expect(await peer.closed()).toContain('"code":"FEED_UNAVAILABLE"');
      const [, seconds] = /\r\nretry-after: (\d+)\r\n/i.exec(peer.head) ?? [];
      expect(Number(seconds)).toBeGreaterThanOrEqual(1);
      expect(JSON.parse(peer.body)).toEqual({
        statusCode: 503,
        error: 'Service Unavailable',
        code: 'FEED_UNAVAILABLE',
        message: 'The service is opening as many connections as it can.',
        retryAfter: Number(seconds),
      });
    }
    const counts = served.feeds.counts();
    expect(counts).toMatchObject({ open: 401 - refused.length, rejected: refused.length, rejectedBy: { overload: refused.length } });
    const retries = refused.map(({ head }) => Number(/retry-after: (\d+)/i.exec(head)?.[1]));
    expect(Math.max(...retries)).toBeLessThanOrEqual(23);
    // Once the queue is empty, others are opened.
    await until(async () => (await statuses(await atOnce(served.port, feeds(1))))[0] === 200);
  });

  it('are all opened where nothing bounds their delay', async () => {
    await start({ maxOpenDelayMs: 0 });
    expect(new Set(await statuses(await atOnce(served.port, feeds(400))))).toEqual(new Set([200]));
    expect(served.feeds.counts()).toMatchObject({ open: 401, handedOver: 401, rejected: 0 });
  });

  it('hold up nothing else: health is told, messages are published', async () => {
    await start({ maxOpenDelayMs: 4, source: slowSource });
    const others = Array.from({ length: 20 }, (_, n) => (n % 2 ? get('/health/live') : post('/feeds/first')));
    const peers = await atOnce(served.port, [...feeds(400), ...others]);
    const all = await statuses(peers);
    expect(all.slice(0, 400)).toContain(503);
    expect(all.slice(400)).toEqual(others.map((_, n) => (n % 2 ? 200 : 201)));
  });

  it('are told from other routes with a global prefix and a version', async () => {
    const metadata = { imports: [feedModule({ maxOpenDelayMs: 4 })], controllers: [PagesController] };
    served = await serve(platform, metadata, (app) => {
      app.setGlobalPrefix('api');
      app.enableVersioning({ type: VersioningType.URI });
    });
    await follow(served, '/api/v1/pages/first');
    const pages = Array.from({ length: 400 }, (_, n) => get(`/api/v1/pages/${n}`));
    const others = [get('/api/v1/pages/list'), get('/v1/pages/1'), get('/nowhere'), get('/api/v1/pages')];
    const all = await statuses(await atOnce(served.port, [...pages, ...others]));
    expect(withoutFeed(all.slice(0, 400))).toEqual(new Set([503]));
    expect(all.slice(400)).toEqual([200, 404, 404, 404]);
  });

  it('do not overtake each other on sockets that have been used before', async () => {
    await start({ maxOpenDelayMs: 4, source: slowSource });
    const used = await Promise.all(Array.from({ length: 50 }, () => Peer.get(served.port, '/health/live')));
    for (const peer of used) {
      await peer.sees('"status"');
      peer.text = '';
    }
    const peers = await atOnce(served.port, feeds(400));
    // Each time that one is refused, another one asks on a socket that has been used.
    const waiting = [...used];
    const asked = peers.map((peer) => peer.sees('HTTP/1.1 503').then(() => waiting.pop()?.send(get('/feeds/later'))));
    await Promise.race([statuses(peers), Promise.all(asked)]);
    await statuses(used.filter((peer) => !waiting.includes(peer)));
    const refused = [...used, ...peers].filter(({ status }) => status === 503);
    expect(used.filter((peer) => refused.includes(peer)).length).toBeGreaterThan(0);
    for (const peer of refused) expect(await peer.closed()).toContain('"code":"FEED_UNAVAILABLE"');
    expect(served.feeds.counts().rejectedBy.overload).toBe(refused.length);
    await closeAll();
    await Promise.allSettled(asked);
  });

  it('are opened again, several at a time as well, once a process that has stood still goes on', async () => {
    await start({ maxOpenDelayMs: 4 });
    const peers = await atOnce(served.port, feeds(50));
    await until(() => served.feeds.counts().opened > 1);
    const begun = performance.now();
    while (performance.now() - begun < 3000); // as in a debugger
    await statuses(peers);
    // On a busy machine one of them may wait for too long now and then.
    await until(async () => (await statuses(await atOnce(served.port, feeds(4)))).every((status) => status === 200));
  });

  it('wait no longer once their clients have left', async () => {
    await start({ maxOpenDelayMs: 0 });
    const peers = await atOnce(served.port, feeds(100));
    for (const [n, peer] of peers.entries()) {
      if (n % 2) peer.reset();
      else peer.socket.end();
    }
    await until(() => served.feeds.counts().open === 1);
    expect(await statuses(await atOnce(served.port, feeds(3)))).toEqual([200, 200, 200]);
    expect(served.feeds.counts().open).toBe(4);
  });
});
