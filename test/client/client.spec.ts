import { from } from 'rxjs';
import { createFeedClient, type FeedClient, type FeedClientOptions } from '../../src/client/index.js';
import { readAll } from '../support/read-all.js';
import { closeAll, type ModuleOptions, platforms, type Served, serveFeeds, until } from '../support/serve.js';

describe.each(platforms)('the client on %s', (platform) => {
  let served: Served;
  let clients: FeedClient[] = [];
  const start = async (options: ModuleOptions = {}) => {
    served = await serveFeeds(platform, options);
  };
  const makeClient = (options: Partial<FeedClientOptions> = {}) => {
    const client = createFeedClient({ url: `${served.url}/feeds`, retry: { minMs: 10, maxMs: 100 }, ...options });
    clients.push(client);
    return client;
  };
  afterEach(async () => {
    for (const client of clients) client.close();
    clients = [];
    await closeAll();
  });

  it('yields the messages of a feed, until the loop is left', async () => {
    await start();
    const client = makeClient();
    const seen: unknown[] = [];
    const loop = (async () => {
      for await (const message of client.follow('orders/7')) {
        seen.push(message);
        if (seen.length === 2) break;
      }
    })();
    await until(() => served.feeds.subscribers('orders/7') === 1);
    const first = await served.feeds.publish('orders/7', { parcels: 2 }, { type: 'shipped' });
    const second = await served.feeds.publish('orders/7', 'text');
    await loop;
    expect(seen).toEqual([first, second]);
    await until(() => served.feeds.subscribers('orders/7') === 0);
    expect(client.status.value).toEqual({ state: 'idle' });
  });

  it('is an Observable, and tells listeners by type', async () => {
    await start();
    const client = makeClient();
    const messages = client.follow(['a', 'b']);
    const [observed, prices, untyped]: unknown[][] = [[], [], []];
    const subscription = from(messages).subscribe(({ data }) => observed?.push(data));
    const off = messages.on('price', ({ data }) => prices?.push(data));
    messages.on('message', ({ data }) => untyped?.push(data));
    await until(() => client.status.value.state === 'live');
    await served.feeds.publish('a', 1, { type: 'price' });
    await served.feeds.publish('b', 2);
    await until(() => untyped?.length === 1);
    off();
    subscription.unsubscribe();
    await served.feeds.publish('a', 3, { type: 'price' });
    await served.feeds.publish('b', 4);
    await until(() => untyped?.length === 2);
    expect([observed, prices, untyped]).toEqual([[1, 2], [1], [2, 4]]);
  });

  it('holds one connection for all that is followed, and misses nothing where that changes', async () => {
    await start({ historyLength: 100_000, historyBytes: 100_000_000 });
    const client = makeClient();
    const [a, b] = [readAll(client.follow('a')), readAll(client.follow('b'))];
    await until(() => served.feeds.subscribers('b') === 1 && client.status.value.state === 'live');
    expect(served.feeds.counts().open).toBe(1);
    let n = 0;
    let isOver = false;
    const publishing = (async () => {
      while (!isOver) {
        n += 1;
        await served.feeds.publish('a', n);
        await new Promise((resolve) => setTimeout(resolve, 1)); // history has room for minutes of that
      }
    })();
    const c = client.follow('c');
    const read = readAll(c);
    await until(() => served.feeds.subscribers('c') === 1 && a.all.length > 0);
    await served.feeds.publish('c', 'x');
    await until(() => read.all.length === 1);
    c.close();
    await read.done;
    await until(() => served.feeds.subscribers('c') === 0);
    isOver = true;
    await publishing;
    await until(() => a.all.length >= n);
    expect(a.data()).toEqual(Array.from({ length: n }, (_, index) => index + 1));
    expect(b.all).toEqual([]);
    expect(served.feeds.counts().open).toBe(1);
  });
});
