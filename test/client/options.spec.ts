import * as v from 'valibot';
import { createFeedClient, defineFeed, type FeedClientError, type FeedClientOptions } from '../../src/client/index.js';
import { closeAll, platforms, serveFeeds, until } from '../support/serve.js';

describe("the client's options", () => {
  it.each([
    [{ url: '/feeds' }, /Invalid URL/],
    [{}, 'createFeedClient: url is no string or object'],
    [{ url: 7 }, 'createFeedClient: url is no string or object'],
    [{ url: 'http://a/feeds', token: 7 }, 'createFeedClient: token is no string or function'],
    [{ url: 'http://a/feeds', stallMs: -1 }, 'createFeedClient: stallMs is no number >= 0'],
    [{ url: 'http://a/feeds', stallMs: Number.NaN }, 'createFeedClient: stallMs is no number >= 0'],
    [{ url: 'http://a/feeds', retry: 1000 }, 'createFeedClient: retry is no object'],
    [{ url: 'http://a/feeds', retry: { minMs: '1' } }, 'retry: minMs is no number >= 0'],
    [{ url: 'http://a/feeds', retry: { min: 1 } }, 'retry: min is none of minMs, maxMs'],
    [{ url: 'http://a/feeds', resume: null }, 'createFeedClient: resume is no object'],
    [{ url: 'http://a/feeds', onReset: true }, 'createFeedClient: onReset is no function'],
    [{ url: 'http://a/feeds', shared: true }, /^createFeedClient: shared is none of url, token, headers/],
  ])('%j is an error that names what is wrong', (options, message) => {
    expect(() => createFeedClient(options as unknown as FeedClientOptions)).toThrow(
      expect.objectContaining({ name: 'TypeError', message: expect.stringMatching(message) }),
    );
  });

  it('an URL that is undefined is a TypeError in a page as well', () => {
    Object.assign(globalThis, { location: { href: 'http://page.test/app/' } });
    try {
      expect(() => createFeedClient({ url: undefined as never })).toThrow('createFeedClient: url is no string or object');
    } finally {
      Reflect.deleteProperty(globalThis, 'location');
    }
  });

  it.each([new Headers({ 'x-tenant': '7', Accept: '*/*' }), { 'x-tenant': '7', accept: '*/*' }])('headers may be %p', async (headers) => {
    const sent: unknown[] = [];
    const client = createFeedClient({
      url: 'http://feeds.test/feeds',
      ...{ headers, token: 'key' },
      fetch: async (_, init) => {
        sent.push([...new Headers(init?.headers)]);
        return new Response(null, { status: 204 });
      },
    });
    client.follow('a').subscribe(() => {});
    await until(() => client.status.value.state === 'ended');
    expect(sent).toEqual([
      [
        ['accept', 'application/x-ndjson'],
        ['authorization', 'Bearer key'],
        ['x-tenant', '7'],
      ],
    ]);
  });

  it('names what is wrong with what is followed', () => {
    const client = createFeedClient({ url: 'http://127.0.0.1:9/feeds' });
    for (const wrong of ['', 'a b', '/a', 'a//b', '../a', 'x'.repeat(201), undefined, 7]) {
      expect(() => client.follow(wrong as string)).toThrow(/^Not a feed's id \(1 to 200 of A-Z a-z 0-9/);
    }
    expect(() => client.follow([])).toThrow('follow: no feed');
    expect(() => client.follow('a', { since: 7 } as never)).toThrow('follow: since is no string');
    expect(() => client.follow('a', { sinse: '1' } as never)).toThrow('follow: sinse is none of since, signal');
    expect(client.status.value).toEqual({ state: 'idle' });
  });

  it('names what is wrong with what is published or read', async () => {
    const client = createFeedClient({ url: 'http://127.0.0.1:9/feeds' });
    await expect(client.publish('a b', 1)).rejects.toThrow(/^Not a feed's id/);
    await expect(client.publish('a', 1, { typ: 'x' } as never)).rejects.toThrow(
      'publish: typ is none of type, key, expected, timeoutMs, signal',
    );
    await expect(client.history('a', { last: '20' } as never)).rejects.toThrow('history: last is no number');
  });
});

describe.each(platforms)('typed feeds on %s', (platform) => {
  afterEach(closeAll);

  const price = v.object({ value: v.number() });
  const prices = defineFeed('prices/:symbol', { price, halt: v.object({ reason: v.string() }), message: v.string() });

  it('know the data of each type, on both sides', async () => {
    const { url, feeds } = await serveFeeds(platform, { feeds: [prices], publishKey: 'key' });
    const client = createFeedClient({ url: `${url}/feeds`, token: 'key' });
    const abc = prices({ symbol: 'abc' });
    const messages = client.follow(abc);
    const seen: unknown[] = [];
    messages.on('price', ({ data }) => seen.push(data.value.toFixed(1)));
    messages.on('halt', ({ data }) => seen.push(data.reason.length));
    messages.on('message', ({ data }) => seen.push(data.toUpperCase()));
    messages.subscribe((message) => {
      if (message.type === 'price') seen.push(message.data.value);
      // @ts-expect-error: a halt has no value
      if (message.type === 'halt') seen.push(message.data.value);
    });
    await until(() => client.status.value.state === 'live');
    await client.publish(abc, 'price', { value: 12.5 });
    await feeds.publish(abc, 'halt', { reason: 'news' });
    await client.publish(abc, 'message', 'quiet');
    await until(() => seen.length === 5);
    expect(seen).toEqual(['12.5', 12.5, 4, undefined, 'QUIET']);
    // @ts-expect-error: a price is a number
    await expect(client.publish(abc, 'price', { value: '12' })).rejects.toMatchObject({
      ...{ status: 400, code: 'FEED_MESSAGE' },
      issues: [{ path: ['value'], message: expect.any(String) }],
    });
    // @ts-expect-error: there is no such type
    await expect(client.publish(abc, 'volume', { value: 1 })).rejects.toMatchObject({ status: 400 });
    client.close();
  });

  it('end their follower with an error where a client is asked to check them, and one does not fit', async () => {
    const { url, feeds } = await serveFeeds(platform);
    const client = createFeedClient({ url: `${url}/feeds`, validate: true });
    const errors: FeedClientError[] = [];
    const [checked, plain]: unknown[][] = [[], []];
    client
      .follow(prices({ symbol: 'abc' }))
      .subscribe({ next: ({ data }) => checked?.push(data), error: (error) => errors.push(error as FeedClientError) });
    client.follow('prices/abc').subscribe(({ data }) => plain?.push(data));
    await until(() => client.status.value.state === 'live');
    await feeds.publish('prices/abc', { value: 1, other: 2 }, { type: 'price' });
    await feeds.publish('prices/abc', { value: '2' }, { type: 'price' });
    await until(() => plain?.length === 2);
    expect(checked).toEqual([{ value: 1 }]);
    expect(errors).toMatchObject([
      { name: 'FeedClientError', feed: 'prices/abc', message: expect.stringMatching(/^A message of the feed "prices.abc" does not fit: /) },
    ]);
    client.close();
  });
});
