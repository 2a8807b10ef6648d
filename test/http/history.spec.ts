import { Controller } from '@nestjs/common';
import { of } from 'rxjs';
import { Feed, type FeedHistory } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { closeAll, platforms, type Served, serveFeeds, until } from '../support/serve.js';
import { jwtSecret, sign } from '../support/tokens.js';

interface Answer extends FeedHistory {
  readonly code?: string;
  readonly message?: string;
}

@Controller('own')
class OwnController {
  @Feed(':id')
  follow() {}

  @Feed('sourced/:id')
  sourced() {
    return of('item');
  }
}

const dataOf = ({ messages }: FeedHistory) => messages.map(({ type, data }) => type ?? data);

describe.each(platforms)('history as an answer on %s', (platform) => {
  let served: Served;
  beforeAll(async () => {
    served = await serveFeeds(platform, { historyLength: 1200, historyBytes: 4e6 }, { controllers: [OwnController] });
  });
  afterEach(() => Peer.leaveAll());
  afterAll(closeAll);

  const get = (feed: string, query = '', headers: Record<string, string> = {}) =>
    fetch(`${served.url}/feeds${feed && `/${feed}`}?mode=once${query}`, { headers });
  const read = async (feed: string, query = '') => (await (await get(feed, query)).json()) as Answer;
  /** Publishes one after the other; the messages. */
  const publish = async (feed: string, ...all: unknown[]) => {
    const messages = [];
    for (const each of all) messages.push(await served.feeds.publish(feed, each));
    return messages;
  };
  const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

  it('has the messages as they were published, and a position to go on from', async () => {
    const messages = await publish('a', 'text', { n: 1 }, ['ü\u2028']);
    messages.push(await served.feeds.publish('a', 4, { type: 'typed' }));
    const answer = await get('a');
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/json; charset=utf-8']);
    expect(answer.headers.get('cache-control')).toBe('private, no-cache');
    const body = (await answer.json()) as Answer;
    expect(body).toEqual({ messages, position: answer.headers.get('feed-position') });
    expect(await served.feeds.history('a')).toEqual(body);
    const [, second] = messages;
    expect((await read('a', `&since=${second?.id}`)).messages).toEqual(messages.slice(2));
    const [fifth] = await publish('a', 5);
    expect((await read('a', `&since=${body.position}`)).messages).toEqual([fifth]);
    expect(await read('never')).toEqual({ messages: [], position: expect.stringMatching(/^\w+-\d+$/) });
    // It is a stream as well.
    const peer = await Peer.get(served.port, `/feeds/a?format=ndjson&since=${body.position}`);
    await peer.sees('"data":5');
    expect(peer.lines).toEqual([fifth]);
  });

  it('begins where it is asked to: with the last, at a time, behind what the client has', async () => {
    await publish('b', ...numbers(1, 30));
    for (const query of ['&last=3', '&since=-3']) expect(dataOf(await read('b', query))).toEqual([28, 29, 30]);
    expect(dataOf(await read('b', '&last=1000'))).toEqual(numbers(1, 30));
    expect(dataOf(await read('b', '&since=earliest&limit=2'))).toEqual([1, 2]);
    expect(dataOf(await read('b', '&since=latest'))).toEqual([]);
    const [, second] = (await read('b')).messages;
    const later = await get('b', '', { 'last-event-id': second?.id as string });
    expect(dataOf((await later.json()) as Answer)).toEqual(numbers(3, 30));
    const before = new Date(Date.now() - 60_000).toISOString();
    expect(dataOf(await read('b', `&since=${before}`))).toEqual(numbers(1, 30));
    expect(dataOf(await read('b', `&since=${new Date(Date.now() + 60_000).toISOString()}`))).toEqual([]);
    // Streams begin there as well.
    for (const since of ['-2', before]) {
      const peer = await Peer.get(served.port, `/feeds/b?format=ndjson&since=${since}`);
      await peer.sees('"data":30');
      expect(peer.lines.map(({ data }) => data)).toEqual(since === before ? numbers(1, 30) : [29, 30]);
    }
    const got: unknown[] = [];
    const subscription = served.feeds.messages('b', { since: '-2' }).subscribe(({ data }) => got.push(data));
    await until(() => got.length === 2);
    subscription.unsubscribe();
    expect(got).toEqual([29, 30]);
  });

  it('has several feeds in the order of their messages', async () => {
    await publish('c/1', 1);
    await publish('c/2', 2);
    await publish('c/1', 3, 4);
    expect(dataOf(await read('', '&id=c/1&id=c/2'))).toEqual([1, 2, 3, 4]);
    expect(dataOf(await read('', '&id=c/1&id=c/2&last=1'))).toEqual([2, 4]);
    const page = await read('', '&id=c/1&id=c/2&limit=2');
    expect(dataOf(page)).toEqual([1, 2]);
    expect(dataOf(await read('', `&id=c/1&id=c/2&since=${page.position}`))).toEqual([3, 4]);
  });

  it('has as much as fits, and goes on from its position', async () => {
    await publish('d', ...numbers(1, 1100));
    const first = await read('d');
    expect(dataOf(first)).toEqual(numbers(1, 1000));
    expect(dataOf(await read('d', `&since=${first.position}`))).toEqual(numbers(1001, 1100));
    const big = 'x'.repeat(300_000);
    await publish('e', ...numbers(1, 9).map((n) => `${n}${big}`));
    const got: unknown[] = [];
    let pages = 0;
    for (let since = 'earliest', isOver = false; !isOver; pages += 1) {
      const page = await read('e', `&since=${since}`);
      got.push(...dataOf(page).map((data) => Number(`${data}`[0])));
      since = page.position;
      isOver = page.messages.length === 0;
    }
    expect([got, pages]).toEqual([numbers(1, 9), 4]);
  });

  it('is whole where it is large, and as long as its head says where it is not, whatever characters it has', async () => {
    const texts = numbers(1, 300).map((n) => `${n}${'ü€😀\u2028"\\'.repeat(n)}`);
    const messages = await publish('wide', ...texts);
    const bytes = Buffer.from(await (await get('wide')).arrayBuffer());
    expect((JSON.parse(bytes.toString()) as Answer).messages).toEqual(messages);
    expect(bytes.toString().split('\n')).toHaveLength(1 + 300 + 2);
    const small = await get('wide', '&last=9');
    expect(Number(small.headers.get('content-length'))).toBe((await small.arrayBuffer()).byteLength);
  });

  it('is not sent again while it has not changed, whatever happens on other feeds', async () => {
    await publish('f', 1, 2);
    const first = await get('f');
    const tag = first.headers.get('etag') as string;
    await first.text();
    await publish('other', 1);
    for (const known of [tag, `"x", W/${tag}`, '*']) {
      const again = await get('f', '', { 'if-none-match': known });
      expect([again.status, await again.text(), again.headers.get('etag')]).toEqual([304, '', tag]);
      expect(again.headers.get('feed-position')).not.toBe(first.headers.get('feed-position'));
    }
    await publish('f', 3);
    const changed = await get('f', '', { 'if-none-match': tag });
    expect([changed.status, dataOf((await changed.json()) as Answer)]).toEqual([200, [1, 2, 3]]);
    const second = changed.headers.get('etag') as string;
    await served.feeds.finish('f');
    expect((await get('f', '', { 'if-none-match': second })).status).toBe(200);
  });

  it('is sent again where it is as empty as before, and yet somewhere else', async () => {
    const first = await get('empty');
    const { position } = (await first.json()) as Answer;
    const headers = { 'if-none-match': first.headers.get('etag') as string };
    expect((await get('empty', '', headers)).status).toBe(304);
    await publish('empty', 1);
    await served.feeds.clear('empty');
    const second = await get('empty', '', headers);
    const cleared = (await second.json()) as Answer;
    expect([second.status, cleared.messages, second.headers.get('feed-position')]).toEqual([200, [], cleared.position]);
    expect(cleared.position).not.toBe(position);
    // What was cleared is told to those alone who were there before.
    expect(await read('empty', `&since=${cleared.position}`)).not.toHaveProperty('reset');
  });

  it('tells that messages are gone', async () => {
    await publish('g', ...numbers(1, 3));
    const { position, messages } = await read('g');
    await publish('g', ...numbers(4, 1210));
    expect(await read('g', `&since=${messages[0]?.id}&limit=1`)).toMatchObject({ reset: true, messages: [{ data: 11 }] });
    expect(await read('g', `&since=${position}&limit=1`)).toMatchObject({ reset: true });
    expect(await read('g', '&since=x-1&limit=1')).toMatchObject({ reset: true });
    expect(await read('g', '&since=2000-01-01T00:00:00Z&limit=1')).toMatchObject({ reset: true });
    expect(await read('g', '&last=1000')).not.toHaveProperty('reset');
    const whole = await get('g', '&limit=1');
    expect([whole.headers.get('feed-history'), 'reset' in ((await whole.json()) as object)]).toEqual(['cut', false]);
  });

  it('tells how the feed has ended, with its end or behind it', async () => {
    await publish('h/1', 1);
    const end = await served.feeds.finish('h/1', { error: 'It broke.' });
    const ended = { reason: 'failed', message: 'It broke.' };
    expect(await read('h/1')).toMatchObject({ messages: [{ data: 1 }, end], ended });
    expect(await read('h/1', '&limit=1')).not.toHaveProperty('ended');
    expect(await read('h/1', `&since=${end.id}`)).toMatchObject({ messages: [], ended });
    expect(await read('h/1', '&since=latest')).toMatchObject({ messages: [end], ended });
    // Several, once all of them have.
    expect(await read('', '&id=h/1&id=h/2')).not.toHaveProperty('ended');
    const last = await served.feeds.stop('h/2');
    expect(await read('', '&id=h/1&id=h/2')).toMatchObject({ ended: { reason: 'stopped' } });
    const both = await read('', `&id=h/1&id=h/2&since=${last.id}`);
    expect(both).toMatchObject({ messages: [], ended: { reason: 'stopped' } });
    expect(await served.feeds.position('h/1')).toBe(both.position);
    await served.feeds.clear('h/1');
    expect(await read('h/1', `&since=${end.id}`)).toMatchObject({ messages: [], reset: true });
  });

  it('is there for the application: pages, the newest first, and the position from which to follow', async () => {
    const { feeds } = served;
    const before = await feeds.position(['i', 'never']);
    await publish('i', ...numbers(1, 9));
    expect(dataOf(await feeds.history('i', { since: before }))).toEqual(numbers(1, 9));
    expect(dataOf(await feeds.history('i', { last: 2 }))).toEqual([8, 9]);
    expect(dataOf(await feeds.history('i', { reverse: true, limit: 3 }))).toEqual([9, 8, 7]);
    expect(dataOf(await feeds.history('i', { reverse: true, since: before, limit: 3 }))).toEqual([3, 2, 1]);
    const { position } = await feeds.history('i', { limit: 4 });
    expect(dataOf(await feeds.history('i', { since: position }))).toEqual(numbers(5, 9));
    expect(dataOf(await feeds.history('i', { since: await feeds.position('i') }))).toEqual([]);
    for (const options of [{ limit: 0 }, { limit: 1001 }, { limit: 1.5 }, { last: 0 }, { last: 1001 }, { last: 1, since: 'earliest' }]) {
      await expect(feeds.history('i', options)).rejects.toMatchObject({ code: 'FEED_QUERY' });
    }
    await expect(feeds.history('i', { since: 'yesterday' })).rejects.toMatchObject({ code: 'FEED_SINCE' });
    await expect(feeds.history('no feed')).rejects.toMatchObject({ code: 'FEED_ID' });
    await expect(feeds.position(['i', 'no feed'])).rejects.toMatchObject({ code: 'FEED_ID' });
  });

  it.each([
    ['mode=stream', 'FEED_QUERY', /once or poll/],
    ['mode=', 'FEED_QUERY', /once or poll/],
    ...['0', '-1', '1001', '1.5', 'x', '', '1e2'].map((last): [string, string, RegExp] => [
      `mode=once&last=${last}`,
      'FEED_QUERY',
      /last must be a whole number from 1 to 1000/,
    ]),
    ...['0', '1001', 'x', '99999999999'].map((limit): [string, string, RegExp] => [
      `mode=once&limit=${limit}`,
      'FEED_QUERY',
      /limit must be a whole number from 1 to 1000/,
    ]),
    ...['0', '61', '0.5', 'x'].map((wait): [string, string, RegExp] => [
      `mode=poll&wait=${wait}`,
      'FEED_QUERY',
      /wait must be a whole number from 1 to 60/,
    ]),
    ['mode=once&last=1&since=earliest', 'FEED_QUERY', /not both/],
    ...['last=0', 'last=20', 'limit=0', 'wait=0'].map((query): [string, string, RegExp] => [
      query,
      'FEED_QUERY',
      /(last|limit|wait) goes with mode=once or mode=poll/,
    ]),
    ...['last=1', 'limit=1', 'mode=once', 'format=text', 'marks=1'].map((twice): [string, string, RegExp] => [
      `${/^(last|limit)/.test(twice) ? 'mode=once&' : ''}${twice}&${twice}`,
      'FEED_QUERY',
      new RegExp(`^Give ${twice.split('=')[0]} once`),
    ]),
    ['mode=poll&wait=1&wait=2', 'FEED_QUERY', /^Give wait once/],
    ['mode=once&wait=1', 'FEED_QUERY', /wait goes with mode=poll/],
    ...['marks=2', 'marks=1', 'format=bogus', 'format=text'].flatMap((query): [string, string, RegExp][] =>
      ['once', 'poll'].map((mode) => [`mode=${mode}&${query}`, 'FEED_QUERY', /goes with a stream: with mode the answer is JSON/]),
    ),
    ['id=b', 'FEED_QUERY', /The path names the feed/],
    ['mode=once&id=b', 'FEED_QUERY', /The path names the feed/],
    ['marks=2', 'FEED_QUERY', /marks is 1/],
    ...[
      '-0',
      '-1001',
      '-1.5',
      '2026-02-30T00:00:00Z',
      '2026-01-31',
      '2026-01-31T08:00:00',
      '2026-13-01T00:00:00Z',
      '2026-01-31T08:00Z',
    ].flatMap((since): [string, string, RegExp][] => [
      [`since=${since}`, 'FEED_SINCE', /a time such as/],
      [`mode=once&since=${since}`, 'FEED_SINCE', /a time such as/],
    ]),
  ])('rejects ?%s with its rule', async (query, code, rule) => {
    const answer = await fetch(`${served.url}/feeds/a?${query}`);
    expect([answer.status, await answer.json()]).toEqual([400, expect.objectContaining({ code, message: expect.stringMatching(rule) })]);
  });

  it('has a head of its own: the position, without the messages', async () => {
    await publish('j', 1);
    const position = await served.feeds.position('j');
    const head = async (path: string) => {
      const answer = await fetch(`${served.url}${path}`, { method: 'HEAD' });
      return [answer.status, answer.headers.get('feed-position'), await answer.text()];
    };
    for (const path of ['/feeds/j', '/feeds?id=j', '/feeds/j?mode=once', '/feeds/j?mode=poll', '/feeds/j?format=sse', '/own/j']) {
      expect([path, ...(await head(path))]).toEqual([path, 200, position, '']);
    }
    // A source has no position.
    expect(await head('/own/sourced/j')).toEqual([200, null, '']);
    const cut = await fetch(`${served.url}/feeds/d?since=earliest`, { method: 'HEAD' });
    expect(cut.headers.get('feed-history')).toBeNull();
    await until(() => served.feeds.counts().open === 0);
  });

  it('is one of the ordinary answers of its connection, in their order', async () => {
    await publish('k', 1, 2);
    const peer = await Peer.to(served.port);
    const ask = (path: string) => `GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`;
    peer.send(ask('/feeds/k?mode=once&last=1') + ask('/nowhere') + ask('/feeds/k?mode=once&limit=1'));
    await peer.sees(/"data":2.*404.*"data":1/s);
    peer.send(ask('/feeds/k?mode=once') + ask('/feeds/k?format=ndjson&since=-1'));
    await peer.sees(/"data":1.*"data":2.*x-ndjson.*"data":2/s);
    await until(() => served.feeds.counts().open === 1);
    peer.leave();
    await until(() => served.feeds.counts().open === 0);
  });
});

describe.each(platforms)('who reads history on %s', (platform) => {
  afterEach(closeAll);

  it('needs a grant for each feed', async () => {
    const { url } = await serveFeeds(platform, { jwtSecret });
    const headers = { authorization: `Bearer ${await sign({ feeds: ['a', 'b/*'] })}` };
    for (const mode of ['once', 'poll']) {
      const status = async (path: string, init?: RequestInit) => (await fetch(`${url}/feeds${path}mode=${mode}`, init)).status;
      expect(await status('/a?')).toBe(401);
      expect(await status('/c?', { headers })).toBe(403);
      expect(await status('?id=a&id=c&', { headers })).toBe(403);
      if (mode === 'once') expect(await status('?id=a&id=b/1&', { headers })).toBe(200);
    }
  });

  it('takes no connection, and counts in the rate of its client', async () => {
    const { url, feeds, port } = await serveFeeds(platform, { maxConnections: 1, maxConnectionsPerClient: 1, connectionRatePerClient: 4 });
    await Peer.get(port, '/feeds/a');
    await until(() => feeds.counts().open === 1);
    const status = async (query: string) => (await fetch(`${url}/feeds/a?${query}`)).status;
    expect(await status('')).toBe(503);
    for (let n = 0; n < 3; n += 1) expect(await status('mode=once')).toBe(200);
    const answer = await fetch(`${url}/feeds/a?mode=once`);
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, expect.stringMatching(/^\d+$/)]);
    expect(feeds.counts()).toMatchObject({ open: 1, opened: 1, rejectedBy: { rate: 1, limit: 1 } });
  });

  it.each([
    ['all that waits is too much', { totalBufferBytes: 1_000_000, stallMs: 0 }],
    ['nothing moves for too long', { totalBufferBytes: 0, stallMs: 300 }],
  ])('is cut where it does not read, and %s', async (_, options) => {
    const { app, feeds, port } = await serveFeeds(platform, { ...options, historyBytes: 8e6 });
    for (let n = 0; n < 20; n += 1) await feeds.publish('a', `${n}${'x'.repeat(60_000)}`);
    const peers = await Promise.all(Array.from({ length: 5 }, () => Peer.to(port)));
    const connections = () => new Promise<number>((resolve) => app.getHttpServer().getConnections((_: unknown, n: number) => resolve(n)));
    await until(async () => (await connections()) === peers.length);
    const asked = 20;
    for (const peer of peers) {
      peer.socket.pause();
      // The kernel takes the first of them.
      peer.send('GET /feeds/a?mode=once HTTP/1.1\r\nHost: test\r\n\r\n'.repeat(asked));
    }
    await until(async () => (await connections()) < peers.length);
    for (const { socket } of peers) socket.resume();
    await Promise.race(peers.map((peer) => peer.closed()));
    const cut = peers.find(({ socket }) => socket.closed);
    expect((cut?.text.match(/HTTP\/1.1 200/g) ?? []).length).toBeLessThan(asked);
  });
});
