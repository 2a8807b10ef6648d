import type { IncomingMessage, ServerResponse } from 'node:http';
import { inspect } from 'node:util';
import { Controller, Get, Param, Req, Res } from '@nestjs/common';
import { instanceToPlain } from 'class-transformer';
import { concat, firstValueFrom, NEVER, of, take, toArray } from 'rxjs';
import { Feed, type FeedConnection, FeedService } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import {
  asJson,
  closeAll,
  follow,
  type ModuleOptions,
  platforms,
  post,
  publishKey,
  type Served,
  serveFeeds,
  until,
} from '../support/serve.js';

const authorization = `Bearer ${publishKey}`;

@Controller('own')
class OwnController {
  static opened: (connection: FeedConnection) => void = () => {};

  constructor(private readonly feeds: FeedService) {}

  @Feed('path')
  path() {}

  @Feed(':id/named', { feed: ({ params: { id } }) => [`one/${id}`, `two/${id}`] })
  async named() {}

  @Feed(':id/mixed')
  mixed() {
    return concat(of({ id: 'own-id', data: 'from the source' }), NEVER);
  }

  @Get(':feeds/connection')
  async dynamic(@Param('feeds') feeds: string, @Req() request: IncomingMessage, @Res() response: ServerResponse) {
    const connection = await this.feeds.connect(request, response, { feeds: feeds === 'empty' ? [] : [feeds] });
    if (connection) OwnController.opened(connection);
  }
}

describe.each(platforms)('publishing on %s', (platform) => {
  let served: Served;
  const start = async (options: ModuleOptions = {}) => {
    served = await serveFeeds(platform, { publishKey, ...options }, { controllers: [OwnController] });
  };
  afterEach(closeAll);

  it('reaches whoever follows the feed, in each format, and nobody else', async () => {
    await start();
    const [text, sse, ndjson, other] = await Promise.all(
      ['/feeds/a', '/feeds/a?format=sse', '/feeds/a?format=ndjson', '/feeds/b'].map((path) => Peer.get(served.port, path)),
    );
    await until(() => served.feeds.status.open === 4 && served.feeds.count('a').open === 3);
    const answer = await post(`${served.url}/feeds/a?type=greeting`, 'hello\nyou');
    expect(answer.status).toBe(201);
    const { id, ...rest } = (await answer.json()) as { id: string };
    expect(rest).toEqual({ feed: 'a', subscribers: 3 });
    expect(id).toMatch(/^[a-z0-9]+-1\/a$/);
    await text?.sees('you\n');
    expect(text?.body).toBe('hello\nyou\n');
    await sse?.sees('data: you\n\n');
    expect(sse?.body.replace(/^: connection \S+\n\n/, '')).toBe(
      `id: ${id.replace('-1/a', '-0')}\n\nid: ${id}\nevent: greeting\ndata: hello\ndata: you\n\n`,
    );
    await ndjson?.sees('"data"');
    expect(JSON.parse(ndjson?.body ?? '')).toEqual({
      id,
      feed: 'a',
      type: 'greeting',
      time: expect.any(Number),
      data: 'hello\nyou',
    });
    await post(`${served.url}/feeds/b`, 'other');
    await other?.sees('other\n');
    expect(other?.body).toBe('other\n');
  });

  it('goes to many feeds at once', async () => {
    await start();
    const one = await follow(served, '/feeds/f1');
    const several = await follow(served, '/feeds?id=f1&id=f999&format=ndjson');
    const feeds = Array.from({ length: 1000 }, (_, n) => `f${n}`);
    const answer = await post(
      `${served.url}/feeds`,
      JSON.stringify({ feeds: [...feeds, 'f1'].slice(0, 1000), type: 't', data: { a: 1 } }),
      asJson,
    );
    expect(answer.status).toBe(201);
    const { messages } = (await answer.json()) as { messages: { feed: string; subscribers: number }[] };
    expect(messages.map(({ feed }) => feed)).toEqual(feeds);
    expect(messages.map(({ subscribers }) => subscribers).filter(Boolean)).toEqual([2, 1]);
    await one.sees('{"a":1}\n');
    await several.sees('"feed":"f999"');
    expect(several.body.match(/"data":\{"a":1\}/g)).toHaveLength(2);
  });

  it.each<[string, string, string, number, RegExp]>([
    ['/feeds/a', 'x', 'application/x-www-form-urlencoded', 415, /text\/plain or application\/json|Unsupported Media Type/],
    ['/feeds/a', '{', 'application/json', 400, /./],
    ['/feeds/a', 'x'.repeat(65_537), 'text/plain', 413, /65536/],
    ['/feeds/a', `"${'x'.repeat(65_535)}"`, 'application/json', platform === 'express' ? 400 : 413, /./],
    ['/feeds/a', `["${'x'.repeat(65_535)}"]`, 'application/json', 413, /65536/],
    ['/feeds/a%20', 'x', 'text/plain', 400, /FEED_ID/],
    ['/feeds/a?type=', 'x', 'text/plain', 400, /type is 1 to 200/],
    ['/feeds/a?type=a%0Ab', 'x', 'text/plain', 400, /without line breaks/],
    ['/feeds/a?type=reset', 'x', 'text/plain', 400, /messages are lost/],
    ['/feeds/a?type=error', 'x', 'text/plain', 400, /a source has failed/],
    ['/feeds/a?type=a&type=b', 'x', 'text/plain', 400, /Give type once/],
    ['/feeds/a?expected=a-1&expected=a-2', 'x', 'text/plain', 400, /Give expected once/],
    ['/feeds/a?end&end', '{}', 'application/json', 400, /Give end once/],
    ['/feeds/a?end&type=a', '{}', 'application/json', 400, /end goes without type and expected/],
    ['/feeds/a?end&expected=a-1', '{}', 'application/json', 400, /end goes without type and expected/],
    ...['expected=junk', 'end', 'type=end', 'type=a'].map((query): [string, string, string, number, RegExp] => [
      `/feeds?${query}`,
      '{"feeds":["a"],"data":1}',
      'application/json',
      400,
      /goes with one feed, in the path/,
    ]),
    ['/feeds/a', 'a\rb', 'text/plain', 400, /carriage returns/],
    ['/feeds', '{"feeds":["a"]}', 'application/json', 400, /1 to 1000 ids/],
    ['/feeds', `{"feeds":["a"],"data":"${'x'.repeat(65_537)}"}`, 'application/json', 413, /65536/],
    ['/feeds', 'x', 'text/plain', 415, /application\/json/],
  ])('refuses %s with the body %.40s (%s): %i', async (path, body, type, status, message) => {
    await start();
    const answer = await post(served.url + path, body, { 'content-type': type });
    expect(answer.status).toBe(status);
    expect(await answer.text()).toMatch(message);
    expect(await served.feeds.history('a')).toMatchObject({ messages: [] });
  });

  it('refuses what is not UTF-8', async () => {
    await start();
    const headers = { authorization, 'content-type': 'text/plain' };
    const answer = await fetch(`${served.url}/feeds/a`, { method: 'POST', body: new Uint8Array([0x61, 0xff]), headers });
    // Fastify has decoded it before: what it made of the bytes is Unicode.
    expect(answer.status).toBe(platform === 'express' ? 400 : 201);
  });

  it('stops reading a body without a length at the limit, and answers', async () => {
    await start({ bodyBytes: 1000 });
    const peer = await Peer.to(served.port);
    peer.send(
      `POST /feeds/a HTTP/1.1\r\nHost: test\r\nAuthorization: ${authorization}\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n`,
    );
    for (let n = 0; n < 3; n += 1) peer.send(`200\r\n${'x'.repeat(512)}\r\n`);
    peer.send('0\r\n\r\n');
    await peer.sees('FEED_BODY_TOO_LARGE');
    expect(peer.head).toMatch(/^HTTP\/1\.1 413/);
  });

  it('JSON that grows when it is written again counts as it is published, and charsets and encodings other than UTF-8 are rejected', async () => {
    await start();
    const status = async (body: string, headers: Record<string, string>) => (await post(`${served.url}/feeds/a`, body, headers)).status;
    const grows = `[${'1e20,'.repeat(13_000)}1]`;
    expect(await status(grows, { 'content-type': 'application/json' })).toBe(413);
    expect(await status('x', { 'content-type': 'text/plain; charset=iso-8859-1' })).toBe(415);
    expect(await status('x', { 'content-type': 'text/plain; charset="UTF-8"' })).toBe(201);
    expect(await status('x', { 'content-type': 'text/plain', 'content-encoding': 'br' })).toBe(415);
    expect(await status('x', { 'content-type': 'text/plain', 'content-encoding': 'identity' })).toBe(201);
  });

  it('deeply nested JSON is taken or rejected, and is never an error of the server', async () => {
    await start();
    const deep = `${'['.repeat(30_000)}${']'.repeat(30_000)}`;
    for (const [path, body] of [
      ['/feeds/a', deep],
      ['/feeds', `{"feeds":["a"],"data":${deep}}`],
    ] as const) {
      const { status } = await post(served.url + path, body, asJson);
      expect([201, 400, 413]).toContain(status);
    }
  });

  it('works in process, and says what is wrong', async () => {
    await start();
    const { feeds } = served;
    const peer = await follow(served, '/feeds/a?format=ndjson');
    const data = { price: 1 };
    const message = await feeds.publish('a', data, { type: 'price' });
    data.price = 2;
    expect(message).toMatchObject({ feed: 'a', type: 'price', data: { price: 1 }, id: expect.stringMatching(/-1\/a$/) });
    await feeds.publish('a', Buffer.from('bytes ü'));
    expect(await feeds.publishMany(['a', 'a', 'b'], 'many')).toHaveLength(2);
    await peer.sees('many');
    expect(peer.lines.map(({ data }) => data)).toEqual([{ price: 1 }, 'bytes ü', 'many']);
    await expect(feeds.publish('a b', 1)).rejects.toMatchObject({ code: 'FEED_ID' });
    await expect(feeds.publish('a', 1n)).rejects.toMatchObject({ code: 'FEED_MESSAGE' });
    await expect(feeds.publish('a', '\ud800')).rejects.toThrow(/lone surrogates/);
    await expect(feeds.publish('a', new Uint8Array([0xff]))).rejects.toThrow(/UTF-8/);
    await expect(feeds.publishMany(['a', ''], 1)).rejects.toMatchObject({ code: 'FEED_ID' });
    expect(feeds.counts().messages).toBe(3);
  });

  it('gives messages that are the same when they are copied, cloned, serialised and logged', async () => {
    await start();
    const { feeds } = served;
    const subscribed = firstValueFrom(feeds.messages('a'));
    const published = await feeds.publish('a', { price: 1 }, { type: 'price' });
    const whole = { id: published.id, feed: 'a', type: 'price', data: { price: 1 }, time: published.time };
    for (const message of [published, await subscribed, await firstValueFrom(feeds.messages('a', { since: 'earliest' }))]) {
      expect({ ...message }).toStrictEqual(whole);
      expect(structuredClone(message)).toEqual(whole);
      expect(instanceToPlain(message)).toEqual(whole);
      expect(JSON.parse(JSON.stringify(message))).toEqual(whole);
      expect(inspect(message)).toBe(inspect(whole));
    }
  });

  it('gives its messages to the application, from where it wants', async () => {
    await start();
    const { feeds } = served;
    const first = await feeds.publish('a', 1);
    await feeds.publish('a', 2);
    const data = (since?: string) => firstValueFrom(feeds.messages('a', { since }).pipe(take(2), toArray()));
    const [all, rest, live] = [data('earliest'), data(first.id), data()];
    await new Promise(setImmediate);
    await feeds.publish('a', 3);
    await feeds.publish('a', 4);
    const dataOf = async (messages: Promise<{ data: unknown }[]>) => (await messages).map((message) => message.data);
    expect(await dataOf(all)).toEqual([1, 2]);
    expect(await dataOf(rest)).toEqual([2, 3]);
    expect(await dataOf(live)).toEqual([3, 4]);
    expect(feeds.counts().feeds).toBe(0);
  });

  it('a message that is published in answer to another is delivered after it', async () => {
    await start();
    served.feeds.messages('question').subscribe(() => void served.feeds.publish('answer', 'yes'));
    const peer = await follow(served, '/feeds?id=question&id=answer&format=ndjson');
    await served.feeds.publish('question', 'is it?');
    await peer.sees('yes');
    expect(peer.lines.map(({ data }) => data)).toEqual(['is it?', 'yes']);
  });

  it('a message that is published as soon as a feed has a subscriber reaches that subscriber', async () => {
    await start();
    const got: unknown[] = [];
    served.feeds.messages('a').subscribe(({ data }) => got.push(data));
    await served.feeds.publish('a', 1);
    served.feeds.events$.subscribe((event) => {
      if (event.type === 'followed') void served.feeds.publish(event.feed, 'welcome');
    });
    const peer = await follow(served, '/feeds/b');
    await peer.sees('welcome\n');
    await until(() => got.length === 1);
  });

  it('reaches a route of the application under its path, or the feeds that the route names', async () => {
    await start();
    const [path, named, mixed] = [
      await follow(served, '/own/path?format=sse'),
      await follow(served, '/own/1/named?format=sse'),
      await follow(served, '/own/1/mixed?format=ndjson'),
    ];
    await served.feeds.publish('own/path', 'to the path');
    await served.feeds.publishMany(['one/1', 'two/1'], 'to the names');
    await served.feeds.publish('own/1/mixed', 'to the source');
    await path.sees('to the path');
    await named.sees(/to the names[\s\S]*to the names/);
    await mixed.sees('to the source');
    expect(mixed.body).toMatch(/^\{"id":"own-id","data":"from the source"\}\n\{"id":"[a-z0-9]+-4\/own\/1\/mixed",/);
    expect(mixed.head).not.toMatch(/feed-position/i);
    expect(named.head).toMatch(/feed-position: /i);
  });

  it('follows and unfollows while the connection is open', async () => {
    await start();
    const { feeds } = served;
    const connections: FeedConnection[] = [];
    OwnController.opened = (connection) => connections.push(connection);
    await feeds.publish('more', 'kept');
    const peer = await follow(served, '/own/base/connection?format=ndjson');
    const [connection] = connections as [FeedConnection];
    await connection.follow('more', 'earliest');
    await connection.follow('more');
    await feeds.publish('more', 'live');
    await feeds.publish('base', 'base');
    expect(connection.unfollow('more')).toBe(true);
    expect(connection.unfollow('more')).toBe(false);
    await feeds.publish('more', 'unheard');
    await feeds.publish('base', 'end');
    await peer.sees('"end"');
    const { lines } = peer;
    expect(lines.map(({ feed, data }) => `${feed} ${data}`)).toEqual(['more kept', 'more live', 'base base', 'base end']);
    expect(lines.map(({ id }) => id === undefined)).toEqual([true, false, false, false]);
    expect(feeds.counts().feeds).toBe(1);
  });

  it('a connection that was opened without a feed can follow, unfollow and follow again at once', async () => {
    await start();
    const connections: FeedConnection[] = [];
    OwnController.opened = (connection) => connections.push(connection);
    await served.feeds.publish('a', 'kept');
    const peer = await follow(served, '/own/empty/connection?format=ndjson');
    const [connection] = connections as [FeedConnection];
    const all = [connection.follow('a', 'earliest')];
    connection.unfollow('a');
    all.push(connection.follow('a', 'earliest'));
    void served.feeds.publish('a', 'live');
    await Promise.all(all);
    await served.feeds.publish('a', 'end');
    await peer.sees('"end"');
    expect(peer.lines.map(({ data }) => data)).toEqual(['kept', 'live', 'end']);
  });
});
