import { asJson, closeAll, platforms, post, publishKey, type Served, serveFeeds } from '../support/serve.js';

describe.each(platforms)('publishing on conditions, and several messages at once, on %s', (platform) => {
  let served: Served;
  beforeAll(async () => {
    served = await serveFeeds(platform, { publishKey, public: true, bodyBytes: 2000 });
  });
  afterAll(closeAll);

  const to = (path: string, body: string, headers: Record<string, string> = {}) => post(`${served.url}/feeds${path}`, body, headers);
  const textsOf = async (feed: string) => {
    await served.feeds.finish(feed);
    return (await (await fetch(`${served.url}/feeds/${feed}?since=earliest`)).text()).trim().split('\n');
  };
  const bodyOf = async (response: Response) => ({ status: response.status, ...((await response.json()) as Record<string, unknown>) });

  it('stores a publication that is repeated with its Idempotency-Key once', async () => {
    const headers = { 'idempotency-key': '"8e03978e-40d5"' };
    const first = await bodyOf(await to('/a?type=x', '1', headers));
    expect(first).toMatchObject({ status: 201, feed: 'a' });
    expect(await bodyOf(await to('/a?type=x', '1', headers))).toEqual(first);
    await to('/a', '2');
    expect(await bodyOf(await to('/a?type=x', '1', headers))).toEqual(first);
    for (const [query, body] of [
      ['?type=x', '1 and other data'],
      ['', '1'],
    ] as const) {
      expect(await bodyOf(await to(`/a${query}`, body, headers))).toMatchObject({ status: 422, code: 'FEED_KEY', statusCode: 422 });
    }
    await expect(served.feeds.publish('a', 'other', { key: '"8e03978e-40d5"' })).rejects.toMatchObject({ code: 'FEED_KEY' });
    expect(await textsOf('a')).toEqual(['1', '2']);
  });

  it('stores a message behind an expected position, and answers 409 where another one came in between', async () => {
    const first = (await served.feeds.publish('b', '1')).id as string;
    const expected = `/b?expected=${encodeURIComponent(first)}`;
    expect((await to(expected, '2')).status).toBe(201);
    expect(await bodyOf(await to(expected, '2'))).toMatchObject({ status: 409, code: 'FEED_POSITION' });
    await expect(served.feeds.publish('b', '2', { expected: first })).rejects.toMatchObject({ code: 'FEED_POSITION' });
    expect(await textsOf('b')).toEqual(['1', '2']);
  });

  it('rejects a key and a position that are none, and says what they may be', async () => {
    const long = 'k'.repeat(201);
    expect(await bodyOf(await to('/c', 'x', { 'idempotency-key': long }))).toMatchObject({
      status: 400,
      code: 'FEED_MESSAGE',
      message: 'The key of a message is 1 to 200 characters, without control characters and lone surrogates.',
    });
    expect((await to('/c', 'x', { 'idempotency-key': 'k'.repeat(200) })).status).toBe(201);
    for (const key of ['', 'a\nb', 'a\x85b', '\ud800', 1 as never]) {
      await expect(served.feeds.publish('c', 'x', { key })).rejects.toMatchObject({ code: 'FEED_MESSAGE' });
    }
    for (const expected of ['', 'latest', '1', 'a-b']) {
      expect(await bodyOf(await to(`/c?expected=${expected}`, 'x'))).toMatchObject({ status: 400, code: 'FEED_MESSAGE' });
    }
  });

  it('stores several messages, and says of each what became of it', async () => {
    await served.feeds.finish('over');
    await served.feeds.publish('d', 'kept', { key: 'k' });
    const messages = [
      { feed: 'd', data: 1, type: 'x' },
      { feed: 'd', data: 'kept', key: 'k' },
      { feed: 'e', data: { n: 2 } },
      { feed: 'd', data: '3' },
    ];
    const answer = await bodyOf(await to('', JSON.stringify({ messages }), asJson));
    expect(answer).toMatchObject({ status: 201, messages: messages.map(({ feed }) => ({ feed, subscribers: 0 })) });

    const mixed = [
      { feed: 'over', data: 1 },
      { feed: 'd', data: '4' },
      { feed: '/', data: 1 },
      { feed: 'd', data: 'other', key: 'k' },
      { feed: 'd', data: 'x'.repeat(2001) },
      { feed: 'd', data: 1, type: 'end' },
    ];
    const results = (await bodyOf(await to('', JSON.stringify({ messages: mixed }), asJson))) as { status: number; messages?: object[] };
    expect(results.status).toBe(207);
    expect(results.messages).toMatchObject([
      { feed: 'over', statusCode: 409, code: 'FEED_ENDED' },
      { feed: 'd', id: expect.any(String) },
      { feed: '/', statusCode: 400, code: 'FEED_ID' },
      { feed: 'd', statusCode: 422, code: 'FEED_KEY' },
      { feed: 'd', statusCode: 413, code: 'FEED_BODY_TOO_LARGE', limit: 2000 },
      { feed: 'd', statusCode: 400, code: 'FEED_MESSAGE' },
    ]);
    expect(await textsOf('d')).toEqual(['kept', '1', '3', '4']);
  });

  it('takes 1 to 1,000 messages', async () => {
    const many = (count: number) => JSON.stringify({ messages: Array.from({ length: count }, (_, n) => ({ feed: `m${n}`, data: n })) });
    expect(((await (await to('', many(1000), asJson)).json()) as { messages: object[] }).messages).toHaveLength(1000);
    const bad = [many(0), many(1001), '{"messages":[{"feed":"a"}]}', '{"messages":[{"feed":"a","data":1,"kind":"x"}]}', '{"messages":{}}'];
    for (const body of bad) expect(await bodyOf(await to('', body, asJson))).toMatchObject({ status: 400, code: 'FEED_MESSAGE' });
  });

  it('has each message of the service settle by itself', async () => {
    await served.feeds.finish('over');
    const results = await served.feeds.publishAll([
      { feed: 'f', data: 1, key: 'a' },
      { feed: 'over', data: 2 },
      { feed: 'f', data: 3 },
    ]);
    expect(results).toMatchObject([
      { status: 'fulfilled', value: { feed: 'f', data: 1 } },
      { status: 'rejected', reason: { code: 'FEED_ENDED' } },
      { status: 'fulfilled', value: { feed: 'f', data: 3 } },
    ]);
    expect(await textsOf('f')).toEqual(['1', '3']);
  });
});
