import { Controller } from '@nestjs/common';
import fc from 'fast-check';
import { NEVER, startWith } from 'rxjs';
import { createFeedClient, type FeedClient, type FeedClientOptions, type FeedClientStatus } from '../../src/client/index.js';
import { Feed } from '../../src/index.js';
import { FaultyProxy } from '../support/faulty-proxy.js';
import { readAll } from '../support/read-all.js';
import {
  closeAll,
  feedModule,
  type ModuleOptions,
  platforms,
  publishKey,
  type Served,
  serve,
  serveFeeds,
  until,
} from '../support/serve.js';
import { jwtSecret, now, sign } from '../support/tokens.js';

@Controller()
class OwnController {
  @Feed('own/:id')
  follow() {}

  @Feed('sourced')
  sourced() {
    return NEVER.pipe(startWith('item'));
  }
}

describe.each(platforms)('the client behind a network that fails, on %s', (platform) => {
  let served: Served;
  let proxy: FaultyProxy;
  let clients: FeedClient[] = [];
  let states: FeedClientStatus[] = [];
  const start = async (options: ModuleOptions = {}) => {
    served = await serveFeeds(platform, options);
    proxy = await FaultyProxy.to(served.port);
  };
  const makeClient = (options: Partial<FeedClientOptions> = {}) => {
    const client = createFeedClient({ url: `${proxy.url}/feeds`, retry: { minMs: 10, maxMs: 100 }, ...options });
    states = [];
    client.status.subscribe((status) => states.push(status));
    clients.push(client);
    return client;
  };
  const isLive = (client: FeedClient) => client.status.value.state === 'live';
  const publish = async (feed: string, ...all: unknown[]) => {
    for (const data of all) await served.feeds.publish(feed, data);
  };
  afterEach(async () => {
    for (const client of clients) client.close();
    clients = [];
    await closeAll();
    await proxy.close();
  });

  it('goes on where it was cut, and tells in between that it waits', async () => {
    await start();
    const client = makeClient();
    const [a, b] = [readAll(client.follow('a')), readAll(client.follow('b'))];
    await until(() => isLive(client));
    await publish('a', 1);
    await until(() => a.all.length === 1);
    proxy.set('502');
    proxy.cut();
    await until(() => client.status.value.state === 'waiting');
    await publish('a', 2, 3);
    await publish('b', 4);
    await until(() => proxy.connections >= 3);
    proxy.set('refuses');
    await until(() => proxy.connections >= 5);
    proxy.set('passes');
    await until(() => a.all.length === 3 && b.all.length === 1);
    expect([a.data(), b.data()]).toEqual([[1, 2, 3], [4]]);
    expect(client.status.value).toEqual({ state: 'live', transport: 'stream' });
    expect(states).toContainEqual({ state: 'waiting', until: expect.any(Number), error: expect.objectContaining({ status: 502 }) });
  });

  it('goes on where it began, where nothing had come before it was cut', async () => {
    await start();
    const client = makeClient();
    const a = readAll(client.follow(['a', 'b']));
    await until(() => isLive(client));
    proxy.set('refuses');
    proxy.cut();
    await publish('a', 1);
    proxy.set('passes');
    await until(() => a.all.length === 1);
    expect(a.data()).toEqual([1]);
  });

  it('takes a connection on which not even heartbeats come for dead', async () => {
    await start({ heartbeatMs: 200 });
    const client = makeClient();
    const a = readAll(client.follow('a'));
    await until(() => isLive(client));
    proxy.stall();
    await publish('a', 1);
    await until(() => a.all.length === 1);
    expect(states).toContainEqual({
      state: 'waiting',
      until: expect.any(Number),
      error: expect.objectContaining({ message: 'The server is silent.' }),
    });
    expect(proxy.connections).toBeGreaterThan(1);
  });

  it('polls where something on the way collects the answers, and says so', async () => {
    await start();
    proxy.set('collects');
    const client = makeClient();
    const a = readAll(client.follow(['a', 'b']));
    await until(() => isLive(client));
    expect(client.status.value).toEqual({ state: 'live', transport: 'poll' });
    await publish('a', 1, 2);
    await publish('b', 3);
    await until(() => a.all.length === 3);
    expect(a.data()).toEqual([1, 2, 3]);
    await served.feeds.finish('a');
    await served.feeds.finish('b');
    await a.done;
    expect(a.data()).toEqual([1, 2, 3, 'end', 'end']);
    expect(client.status.value).toEqual({ state: 'ended' });
  });

  it('stays away where its poll is ended for good, and says why', async () => {
    await start();
    proxy.set('collects');
    const client = makeClient();
    const a = readAll(client.follow(['a']));
    await until(() => isLive(client));
    // Between two polls there is none to end.
    await until(async () => (await served.feeds.disconnect({ feed: 'a' }, { reason: 'Signed out', reconnect: false })).ended > 0);
    await until(() => client.status.value.state === 'failed');
    expect(client.status.value).toMatchObject({ error: { status: 403, code: 'FEED_DISCONNECTED', message: 'Signed out' } });
    await expect(a.done).rejects.toMatchObject({ code: 'FEED_DISCONNECTED' });
  });

  it('says so where something on the way collects the answers, and the route does not poll', async () => {
    served = await serve(platform, { imports: [feedModule()], controllers: [OwnController] });
    proxy = await FaultyProxy.to(served.port);
    proxy.set('collects');
    const client = makeClient({ url: proxy.url });
    readAll(client.follow('own/a'));
    await until(() => client.status.value.state === 'waiting');
    expect(client.status.value).toMatchObject({
      error: { message: expect.stringMatching(/holds streams back, and this route does not poll/) },
    });
  });

  it("follows an application's own routes, whatever their feed is called, also at the root of an origin", async () => {
    served = await serve(platform, { imports: [feedModule()], controllers: [OwnController] });
    proxy = await FaultyProxy.to(served.port);
    const [root, named] = [makeClient({ url: `${proxy.url}/` }), makeClient({ url: `${proxy.url}/own/` })];
    const [source, a] = [readAll(root.follow('sourced')), readAll(named.follow('a'))];
    await until(() => isLive(named) && source.all.length > 0);
    expect(source.all[0]).toEqual({ feed: 'sourced', data: 'item' });
    root.close();
    const { id } = await served.feeds.publish('own/a', 1);
    await until(() => a.all.length === 1);
    expect(a.all).toEqual([{ id, feed: 'a', data: 1, time: expect.any(Number) }]);
    proxy.cut();
    await until(() => isLive(named));
    await served.feeds.publish('own/a', 2);
    await until(() => a.all.length === 2);
    await served.feeds.finish('own/a');
    await a.done;
    expect(a.data()).toEqual([1, 2, 'end']);
  });

  it('waits as long as the server says', async () => {
    await start({ maxConnections: 1 });
    readAll(makeClient().follow('other'));
    await until(() => served.feeds.counts().open === 1);
    const client = makeClient();
    const at = Date.now();
    readAll(client.follow('a'));
    await until(() => client.status.value.state === 'waiting');
    const { value } = client.status;
    expect(value).toMatchObject({ error: { status: 503, code: 'FEED_UNAVAILABLE', retryAfterMs: 5000 } });
    expect((value as { until: number }).until - at).toBeGreaterThanOrEqual(5000);
  });

  it('asks for a token before each connection, and again when it is refused', async () => {
    await start({ jwtSecret });
    const tokens = ['wrong', await sign({ feeds: '*', exp: now() + 3600 })];
    const asked: number[] = [];
    const client = makeClient({ token: async () => tokens[Math.min(asked.push(1), 2) - 1] });
    const a = readAll(client.follow('a'));
    await until(() => isLive(client));
    expect(asked).toHaveLength(2);
    proxy.cut();
    await publish('a', 1);
    await until(() => a.all.length === 1);
    expect(asked).toHaveLength(3);
  });

  it('has failed while its token cannot be had, and asks for it again', async () => {
    await start({ jwtSecret });
    const token = await sign({ feeds: '*' });
    let count = 0;
    const gone = new Error('the session service is down');
    const client = makeClient({
      token: () => {
        count += 1;
        if (count < 4) throw gone;
        return token;
      },
    });
    readAll(client.follow('a'));
    await until(() => isLive(client));
    expect(count).toBe(4);
    expect(states).toContainEqual({ state: 'failed', error: gone, until: expect.any(Number) });
  });

  it('gives up a feed that it may not read, and goes on with the others', async () => {
    await start({ jwtSecret });
    const client = makeClient({ token: await sign({ feeds: ['a', 'b'] }) });
    const [a, secret, b] = [client.follow('a'), client.follow('secret'), client.follow('b')].map(readAll);
    await expect(secret?.done).rejects.toMatchObject({ name: 'FeedClientError', status: 403, code: 'FEED_FORBIDDEN', feed: 'secret' });
    await until(() => isLive(client));
    await publish('a', 1);
    await publish('b', 2);
    await until(() => a?.all.length === 1 && b?.all.length === 1);
  });

  it('stops for good where it is refused, and where its token is no function', async () => {
    await start({ jwtSecret });
    const client = makeClient({ token: 'wrong' });
    const a = readAll(client.follow('a'));
    await expect(a.done).rejects.toMatchObject({ status: 401, code: 'FEED_UNAUTHORIZED' });
    expect(client.status.value).toMatchObject({ state: 'failed', error: { status: 401 } });
    expect(proxy.connections).toBe(1);
  });

  it('ends with its feeds, with their reason, and asks no more', async () => {
    await start();
    const client = makeClient();
    const a = readAll(client.follow('a'));
    await until(() => isLive(client));
    await served.feeds.finish('a', { error: 'The import failed.' });
    await a.done;
    expect(a.all).toMatchObject([{ type: 'end', data: { reason: 'failed', message: 'The import failed.' } }]);
    expect(client.status.value).toEqual({ state: 'ended' });
    const again = readAll(client.follow('a', { since: await served.feeds.position('a') }));
    await again.done;
    expect([again.all, proxy.connections]).toEqual([[], 2]);
  });

  it('tells of messages that are lost, where the application does not load the state', async () => {
    await start({ historyLength: 2 });
    const client = makeClient();
    const a = readAll(client.follow('a'));
    await until(() => isLive(client));
    await publish('a', 1);
    await until(() => a.all.length === 1);
    proxy.set('refuses');
    proxy.cut();
    await publish('a', 2, 3, 4, 5);
    proxy.set('passes');
    await until(() => a.all.length === 4);
    expect(a.data()).toEqual([1, 'reset', 4, 5]);
  });

  it('has the application load the state, and shows nothing twice', async () => {
    await start({ historyLength: 3 });
    let state: unknown[] = [];
    const resets: string[] = [];
    const client = makeClient({
      onReset: async (feed) => {
        resets.push(feed);
        const { messages, position } = await client.history(feed);
        await publish('a', 6); // comes while the state is loaded
        state = messages.map(({ data }) => data);
        return position;
      },
    });
    const [a, other] = [readAll(client.follow('a')), readAll(client.follow('a'))];
    await until(() => isLive(client));
    await publish('a', 1);
    await until(() => a.all.length === 1 && other.all.length === 1);
    proxy.set('refuses');
    proxy.cut();
    await publish('a', 2, 3, 4, 5);
    proxy.set('passes');
    await until(() => a.all.length === 2);
    await publish('a', 7);
    await until(() => a.all.length === 3 && other.all.length === 3);
    expect([state, a.data(), other.data(), resets]).toEqual([[3, 4, 5], [1, 6, 7], [1, 6, 7], ['a']]);
  });

  it('gives each who follows a feed what a client of its own would get', async () => {
    await start({ rules: { 'prices/*': { replay: 'newest' } } });
    await publish('a', 1, 2);
    const position = await served.feeds.position('a');
    await publish('a', 3);
    await publish('prices/x', 10, 11);
    const client = makeClient();
    const live = readAll(client.follow(['a', 'prices/x']));
    await until(() => isLive(client));
    await publish('a', 4);
    await until(() => live.all.length === 2);
    const [after, now, all, last, price] = [
      readAll(client.follow('a', { since: position })),
      readAll(client.follow('a', { since: await served.feeds.position('a') })),
      readAll(client.follow('a', { since: 'earliest' })),
      readAll(client.follow('a', { since: '-2' })),
      readAll(client.follow('prices/x')),
    ];
    await until(() => after.all.length === 2 && all.all.length === 4 && last.all.length === 2 && price.all.length === 1);
    await publish('a', 5);
    await publish('prices/x', 12);
    await until(() => all.all.length === 5 && last.all.length === 3 && price.all.length === 2 && live.all.length === 4);
    expect(live.data()).toEqual([11, 4, 5, 12]);
    await until(() => after.all.length === 3 && now.all.length === 1);
    expect([after.data(), now.data()]).toEqual([[3, 4, 5], [5]]);
    expect(all.data()).toEqual([1, 2, 3, 4, 5]);
    expect(last.data()).toEqual([3, 4, 5]);
    expect(price.data()).toEqual([11, 12]);
    await until(() => served.feeds.counts().open === 1);
  });

  it('keeps its position in a storage, from one page to the next', async () => {
    await start();
    const kept = new Map<string, string>();
    const storage = { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value) };
    const first = makeClient({ resume: storage });
    const a = readAll(first.follow(['a', 'b']));
    await until(() => isLive(first));
    await publish('a', 1);
    await until(() => a.all.length === 1);
    first.close();
    await publish('a', 2);
    await publish('b', 3);
    const second = makeClient({ resume: storage });
    const both = readAll(second.follow(['a', 'b']));
    await until(() => both.all.length === 2);
    expect(both.data()).toEqual([2, 3]);
  });

  it('publishes once, however often it has to repeat that', async () => {
    await start({ publishKey });
    const client = makeClient({ token: publishKey });
    const a = readAll(client.follow('a'));
    await until(() => isLive(client));
    proxy.set('refuses');
    const first = client.publish('a', { n: 1 }, { type: 'step' });
    await until(() => proxy.connections >= 3);
    proxy.set('collects'); // the answer is lost
    await until(async () => (await served.feeds.history('a')).messages.length === 1);
    proxy.cut();
    proxy.set('passes');
    const { id, feed } = await first;
    await until(() => a.all.length === 1);
    expect(a.all).toEqual([{ id, feed, type: 'step', data: { n: 1 }, time: expect.any(Number) }]);
    expect((await client.history('a')).messages).toHaveLength(1);
    expect(await client.position('a')).toBe(id.split('/')[0]);
    await expect(client.publish('a', 'x', { type: 'end' })).rejects.toMatchObject({ status: 400, code: 'FEED_MESSAGE' });
    proxy.set('refuses');
    proxy.cut();
    await expect(client.publish('a', 'x', { timeoutMs: 50 })).rejects.toThrow();
    await expect(client.publish('a', { n: 1n })).rejects.toThrow(/BigInt/);
    const leaving = new AbortController();
    const left = client.publish('a', 'x', { signal: leaving.signal });
    leaving.abort(new Error('left'));
    await expect(left).rejects.toThrow('left');
  });

  it('reads no faster than its consumers', async () => {
    await start();
    const client = makeClient();
    const messages = client.follow('a');
    const iterator = messages[Symbol.asyncIterator]();
    const first = iterator.next();
    await until(() => isLive(client));
    const text = 'x'.repeat(1000);
    for (let n = 0; n < 5000; n += 1) await served.feeds.publish('a', `${n}:${text}`);
    await first;
    const seen = [(await first).value];
    await served.feeds.finish('a');
    for (let next = await iterator.next(); !next.done && next.value.type !== 'end'; next = await iterator.next()) seen.push(next.value);
    const numbers = seen.map(({ type, data }) => type ?? Number((data as string).split(':')[0]));
    // What history does not have any more is told.
    const isInOrder = numbers.every(
      (n, at) => n === 'reset' || numbers[at - 1] === undefined || numbers[at - 1] === 'reset' || n === (numbers[at - 1] as number) + 1,
    );
    expect(isInOrder).toBe(true);
    expect(numbers.at(-1)).toBe(4999);
  });

  it('misses nothing and repeats nothing, wherever its connection is cut', async () => {
    await start({ historyLength: 10_000, historyBytes: 1e7 });
    let run = 0;
    const act = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ kind: fc.constant('publish' as const), feed: fc.nat(2), count: fc.integer({ min: 1, max: 20 }) }),
      },
      fc.record({
        kind: fc.constantFrom('cut' as const, 'stall' as const, '502' as const, 'refuses' as const, 'passes' as const, 'turn' as const),
      }),
      fc.record({ kind: fc.constant('follow' as const), feed: fc.nat(2) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(act, { minLength: 3, maxLength: 30 }), async (acts) => {
        run += 1;
        const names = [0, 1, 2].map((n) => `r${run}/${n}`);
        const client = makeClient({ stallMs: 150 });
        const readers = [readAll(client.follow([names[0] as string, names[1] as string]))];
        const expected: string[][] = [[]];
        const follows = [[0, 1]];
        await until(() => isLive(client));
        let n = 0;
        for (const step of acts) {
          if (step.kind === 'publish') {
            for (let count = 0; count < step.count; count += 1) {
              n += 1;
              await served.feeds.publish(names[step.feed] as string, `${step.feed}:${n}`);
              for (const [at, feeds] of follows.entries()) if (feeds.includes(step.feed)) expected[at]?.push(`${step.feed}:${n}`);
            }
          } else if (step.kind === 'follow') {
            const stored = (await served.feeds.history(names[step.feed] as string)).messages.map(({ data }) => data as string);
            readers.push(readAll(client.follow(names[step.feed] as string, { since: 'earliest' })));
            expected.push(stored);
            follows.push([step.feed]);
          } else if (step.kind === 'cut') proxy.cut();
          else if (step.kind === 'stall') proxy.stall();
          else if (step.kind === 'turn') await new Promise((resolve) => setTimeout(resolve, 5));
          else proxy.set(step.kind);
        }
        proxy.set('passes');
        await until(() => readers.every(({ all }, at) => all.length >= (expected[at]?.length ?? 0)));
        for (const [at, reader] of readers.entries()) expect(reader.data()).toEqual(expected[at]);
        client.close();
        proxy.cut();
      }),
      { numRuns: Number(process.env.CLIENT_RUNS ?? 25) },
    );
  });
});
