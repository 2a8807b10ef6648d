import { once } from 'node:events';
import { FeedTokenService } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { Run } from '../support/run.js';
import { asJson, closeAll, type ModuleOptions, platforms, post, publishKey, type Served, serveFeeds } from '../support/serve.js';
import { jwtSecret } from '../support/tokens.js';

interface Answer {
  code?: string;
  message?: string;
  retryAfter?: number;
  feed?: string;
  messages?: Answer[];
}

const answerOf = async (response: Response) => (await response.json()) as Answer;

describe.each(platforms)('limits on publishing on %s', (platform) => {
  let served: Served;
  const start = async (options: ModuleOptions) => {
    served = await serveFeeds(platform, { publishKey, jwtSecret, ...options });
  };
  const tokenOf = async (subject?: string) => {
    const tokens = served.app.get(FeedTokenService, { strict: false });
    return { authorization: `Bearer ${await tokens.create({ feeds: '*', publish: '*', ...(subject && { subject }) })}` };
  };
  const publish = (feed: string, headers?: Record<string, string>) => post(`${served.url}/feeds/${feed}`, 'hello', headers);
  const publishMany = (body: unknown, headers?: Record<string, string>) =>
    post(`${served.url}/feeds`, JSON.stringify(body), { ...asJson, ...headers });
  const batchOf = (...feeds: string[]) => ({ messages: feeds.map((feed) => ({ feed, data: 1 })) });

  afterEach(closeAll);

  it('bound the messages of a publish key, from wherever they come, and of no token', async () => {
    await start({ publishRatePerKey: 2 });
    expect([(await publish('a')).status, (await publish('b', { authorization: '', 'x-feed-key': publishKey })).status]).toEqual([201, 201]);
    const rejected = await publish('c');
    expect([rejected.status, rejected.headers.get('connection')]).toEqual([429, 'close']);
    const retryAfter = Number(rejected.headers.get('retry-after'));
    expect(await answerOf(rejected)).toEqual({
      statusCode: 429,
      error: 'Too Many Requests',
      code: 'FEED_TOO_MANY',
      message: 'A publish key may publish 2 messages a minute.',
      retryAfter,
    });
    expect(retryAfter).toBeGreaterThan(20);
    expect(retryAfter).toBeLessThanOrEqual(30);
    for (let n = 0; n < 5; n += 1) expect((await publish('a', await tokenOf('ada'))).status).toBe(201);
    expect(served.feeds.counts()).toMatchObject({ rejected: 1, rejectedBy: { publishRate: 1, rate: 0 } });
    // What the application publishes itself has no client.
    for (let n = 0; n < 5; n += 1) await served.feeds.publish('a', n);
  });

  it('bound the messages of each of several publish keys', async () => {
    await start({ publishKey: [publishKey, 'another-key'], publishRatePerKey: 1 });
    for (const key of [publishKey, 'another-key']) {
      const headers = { authorization: `Bearer ${key}` };
      expect([(await publish('a', headers)).status, (await publish('a', headers)).status]).toEqual([201, 429]);
    }
  });

  it('bound the messages of a subject, whatever its tokens, and of an address where a token has none', async () => {
    await start({ publishRatePerClient: 1 });
    for (const name of ['ada', 'grace', undefined]) {
      expect((await publish('a', await tokenOf(name))).status).toBe(201);
      const rejected = await publish('b', await tokenOf(name));
      expect(rejected.status).toBe(429);
      expect((await answerOf(rejected)).message).toBe('A client may publish 1 messages a minute.');
    }
    for (let n = 0; n < 5; n += 1) expect((await publish('a')).status).toBe(201);
    // Nothing of it counts for connections.
    expect((await fetch(`${served.url}/feeds/a?mode=once`, { headers: await tokenOf('ada') })).status).toBe(200);
    expect(served.feeds.counts().rejectedBy).toMatchObject({ publishRate: 3, rate: 0 });
  });

  it('bound the messages of an address that publishes without a token, as a trusted proxy tells it', async () => {
    const guards = [{ canActivate: () => true }];
    served = await serveFeeds(platform, { guards, publishRatePerClient: 1, trustedProxies: ['loopback'] });
    const from = (address: string) => publish('a', { 'x-forwarded-for': address });
    expect([(await from('192.0.2.1')).status, (await from('192.0.2.2')).status, (await from('192.0.2.1')).status]).toEqual([201, 201, 429]);
  });

  it('count each message of a batch: those that are too many are rejected alone', async () => {
    await start({ publishRatePerKey: 3 });
    const answer = await publishMany(batchOf('a', 'b', 'c', 'd', 'e'));
    expect(answer.status).toBe(207);
    const { messages = [] } = await answerOf(answer);
    expect(messages.map(({ feed, code }) => [feed, code])).toEqual([
      ['a', undefined],
      ['b', undefined],
      ['c', undefined],
      ['d', 'FEED_TOO_MANY'],
      ['e', 'FEED_TOO_MANY'],
    ]);
    expect(messages[4]).toMatchObject({ statusCode: 429, retryAfter: 20 });
    expect((await publishMany(batchOf('a'))).status).toBe(429);
    expect(served.feeds.counts().rejectedBy.publishRate).toBe(3);
  });

  it('count each feed that one message goes to: it goes to all of them or none', async () => {
    await start({ publishRatePerKey: 3 });
    expect((await publishMany({ feeds: ['a', 'b', 'a'], data: 1 })).status).toBe(201);
    const rejected = await publishMany({ feeds: ['a', 'b'], data: 2 });
    expect(rejected.status).toBe(429);
    expect(Number(rejected.headers.get('retry-after'))).toBeGreaterThan(10); // until there is room for both
    expect((await served.feeds.history('a')).messages).toHaveLength(1);
    expect((await publish('a')).status).toBe(201);
    // To repeat what never fits helps nobody.
    const impossible = await publishMany({ feeds: ['a', 'b', 'c', 'd'], data: 1 });
    expect(impossible.status).toBe(429);
    await served.app.close();
    await start({ publishRatePerKey: 3 });
    const never = await publishMany({ feeds: ['a', 'b', 'c', 'd'], data: 1 });
    expect([never.status, (await answerOf(never)).message]).toEqual([
      400,
      'A publish key may publish 3 messages a minute: no request can publish 4 at once.',
    ]);
  });

  it('count the end of a feed, and its removal, but nothing that is not published', async () => {
    await start({ publishRatePerKey: 2 });
    const remove = (feed: string) =>
      fetch(`${served.url}/feeds/${feed}`, { method: 'DELETE', headers: { authorization: `Bearer ${publishKey}` } });
    for (const body of ['{', '[1']) expect((await post(`${served.url}/feeds/a`, body, asJson)).status).toBe(400);
    expect((await publish('not%20an%20id')).status).toBe(400);
    expect((await post(`${served.url}/feeds/a?end`, '')).status).toBe(201);
    expect((await remove('a')).status).toBe(204);
    expect([(await remove('a')).status, (await post(`${served.url}/feeds/a?end`, '')).status, (await publish('a')).status]).toEqual([
      429, 429, 429,
    ]);
  });

  it('of rules count what they reject, over HTTP and from the application', async () => {
    await start({ rules: { 'rare/*': { publishPerSecond: 1 } } });
    // At once each, so that no second passes between the two.
    const settled = await Promise.allSettled([1, 2].map((data) => served.feeds.publish('rare/a', data)));
    expect(settled).toMatchObject([{ status: 'fulfilled' }, { status: 'rejected', reason: { code: 'FEED_TOO_MANY' } }]);
    const { messages } = await answerOf(await publishMany(batchOf('rare/b', 'rare/b')));
    expect(messages).toMatchObject([{ feed: 'rare/b' }, { code: 'FEED_TOO_MANY', retryAfter: 1 }]);
    expect(served.feeds.counts()).toMatchObject({ rejected: 2, rejectedBy: { feedRate: 2, publishRate: 0 } });
  });

  it('are none by default', async () => {
    await start({});
    const feeds = Array.from({ length: 1000 }, (_, n) => `f${n}`);
    for (let n = 0; n < 3; n += 1) expect((await publishMany({ feeds, data: n })).status).toBe(201);
    expect(served.feeds.counts().rejected).toBe(0);
  });
});

describe.each(platforms)('the limits of the service on %s', (platform) => {
  afterEach(() => Run.endAll());

  it('are settings, and what they reject keeps no connection and is not read', async () => {
    const { port, url } = await Run.service({ FEED_ADAPTER: platform, FEED_PUBLISH_KEY: publishKey, FEED_PUBLISH_RATE_PER_KEY: '1' });
    expect((await post(`${url}/test/a`, 'hello')).status).toBe(201);
    const peer = await Peer.to(port);
    const length = 1 << 30;
    peer.send(
      `POST /test/a HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer ${publishKey}\r\nContent-Type: text/plain\r\nContent-Length: ${length}\r\n\r\n`,
    );
    await peer.sees('FEED_TOO_MANY');
    expect([peer.status, /\r\nretry-after: \d+/i.test(peer.head)]).toEqual([429, true]);
    const chunk = 'x'.repeat(65_536);
    while (!peer.socket.destroyed) {
      peer.send(chunk);
      if (peer.socket.writableNeedDrain) await Promise.race([once(peer.socket, 'drain'), peer.closed()]).catch(() => {}); // the pipe broke
    }
    expect(peer.socket.bytesWritten).toBeLessThan(length / 4);
    const counts = (await (await fetch(`${url}/health/connections`)).json()) as { rejectedBy: Record<string, number> };
    expect(counts.rejectedBy.publishRate).toBe(1);
  });
});
