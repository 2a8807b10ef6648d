import { createFeedClient, type FeedClient } from '../../src/client/index.js';
import { closeAll, serveFeeds } from '../support/serve.js';
import { until } from '../support/until.js';
import { closeClients, collect, pause, startServer, stopServer, wire } from '../support/wire.js';

beforeAll(startServer);
afterAll(stopServer);

/** Something on the way that collects streams: their head comes, and nothing behind it. */
const collecting = (async (url: URL, init: RequestInit) =>
  url.searchParams.has('mode')
    ? fetch(url, init)
    : new Response(
        new ReadableStream({ start: (body) => init.signal?.addEventListener('abort', () => body.error(init.signal?.reason)) }),
      )) as typeof fetch;

describe("the client's requests", () => {
  let clients: FeedClient[] = [];
  afterEach(async () => {
    closeClients();
    for (const client of clients) client.close();
    clients = [];
    await closeAll();
  });

  it.each(['0', new Date(Date.now() - 60_000).toUTCString()])('obeys Retry-After: %s without asking at full speed', async (after) => {
    let count = 0;
    const client = createFeedClient({
      url: 'http://feeds.test/feeds',
      fetch: async () => {
        count += 1;
        await pause(1);
        return new Response('{}', { status: 503, headers: { 'retry-after': after } });
      },
    });
    clients.push(client);
    collect(client.follow('a'));
    await pause(400);
    expect(count).toBeLessThan(5);
  });

  it('obeys a Retry-After of a month', async () => {
    let count = 0;
    const client = createFeedClient({
      url: 'http://feeds.test/feeds',
      fetch: async () => {
        count += 1;
        await pause(50);
        return new Response('{}', { status: 503, headers: { 'retry-after': `${30 * 86_400}` } });
      },
    });
    clients.push(client);
    collect(client.follow('a'));
    await pause(300);
    expect(count).toBe(1);
  });

  it('stallMs: Infinity sets no timer that ends at once', async () => {
    const longest: number[] = [];
    const { setTimeout: set } = globalThis;
    globalThis.setTimeout = ((call: () => void, ms: number) => {
      longest.push(ms);
      return set(call, ms);
    }) as never;
    try {
      const { client, request, isLive } = wire({ stallMs: Number.POSITIVE_INFINITY });
      collect(client.follow('a'));
      (await request(0)).open('e-0').line({ position: 'e-0' });
      await isLive();
    } finally {
      globalThis.setTimeout = set;
    }
    expect(Math.max(...longest)).toBe(1e9);
  });

  it('waiting has an error where an answer was no stream at all', async () => {
    const { client, request } = wire({ retry: { minMs: 300 } });
    collect(client.follow('a'));
    (await request(0)).answer(200, '<html>Sign in to this network</html>', { 'Content-Type': 'text/html' });
    await until(() => client.status.value.state === 'waiting');
    expect((client.status.value as { error?: unknown }).error).toBeDefined();
  });

  it('a feed of another epoch gets one reset, not one for each connection', async () => {
    const { client, request, isLive } = wire();
    collect(client.follow('a', { since: 'old-5' }));
    (await request(0)).open('e-0').line({ feed: 'a', type: 'reset', data: {} }, { position: 'e-0' });
    await isLive();
    (await request(0)).cut();
    expect((await request(1)).since).toEqual(['e-0']);
  });

  it('polls: a feed that begins with its last two has no more than these, where the answer is cut short', async () => {
    const served = await serveFeeds('express', { historyLength: 5000 });
    for (let n = 0; n < 1100; n += 1) await served.feeds.publish('a', n);
    for (let n = 0; n < 5; n += 1) await served.feeds.publish('b', n);
    const client = createFeedClient({ url: `${served.url}/feeds`, fetch: collecting });
    clients.push(client);
    const a = collect(client.follow('a', { since: 'earliest' }));
    const b = collect(client.follow('b', { since: '-2' }));
    await until(() => a.all.length === 1100);
    await pause(100);
    expect([a.all.length, b.all]).toEqual([1100, [3, 4]]);
  });
});
