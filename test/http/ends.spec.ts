import { once } from 'node:events';
import { connect } from 'node:http2';
import { gzipSync } from 'node:zlib';
import { Controller, Param } from '@nestjs/common';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { EventSource } from 'eventsource';
import { firstValueFrom, NEVER, tap, toArray } from 'rxjs';
import { type AuthorizeRequest, Feed, type FeedMessage } from '../../src/index.js';
import { atEnd } from '../support/ends.js';
import { Peer } from '../support/peer.js';
import {
  asJson,
  closeAll,
  feedModule,
  platforms,
  post,
  publishKey,
  type Served,
  serve,
  serveFeeds,
  until,
  withoutParsers,
} from '../support/serve.js';

@Controller('own')
class OwnController {
  @Feed(':id')
  quiet() {
    return NEVER;
  }

  @Feed('both/:id', { feed: ({ params }) => [`own/${params.id}`] })
  both(@Param('id') _id: string) {
    return undefined;
  }
}

/** Allows everything, once the client has left. */
const authorize = ({ request }: AuthorizeRequest) => new Promise<boolean>((resolve) => void request.once('close', () => resolve(true)));

describe.each(platforms)('feeds that end on %s', (platform) => {
  let served: Served;
  beforeAll(async () => {
    const rules = { 'prices/*': { conflate: true, replay: 'newest' } } as const;
    served = await serveFeeds(platform, { publishKey, public: true, rules }, { controllers: [OwnController] });
  });
  afterAll(closeAll);

  const path = (feed: string, query = '') => `${served.url}/feeds/${feed}${query}`;
  const get = (feed: string, query = '', headers: Record<string, string> = {}) => fetch(path(feed, query), { headers });
  const key = { authorization: `Bearer ${publishKey}` };
  const subscribed = (feed: string, count = 1) => until(() => served.feeds.subscribers(feed) === count);

  it('tell those who follow in their format, and end their responses in good order', async () => {
    const formats = ['sse', 'ndjson', 'text'];
    const peers = await Promise.all(formats.map((format) => Peer.get(served.port, `/feeds/a?format=${format}`)));
    await subscribed('a', 3);
    await served.feeds.publish('a', 'x');
    const end = await served.feeds.finish('a');
    expect(end).toEqual({ id: end.id, feed: 'a', type: 'end', data: { reason: 'completed' }, time: end.time });
    await Promise.all(peers.map((peer) => peer.closed()));
    const [sse, ndjson, text] = peers as [Peer, Peer, Peer];
    expect(peers.every(({ isComplete }) => isComplete)).toBe(true);
    expect(sse.body.endsWith(`data: x\n\nid: ${end.id}\nevent: end\ndata: {"reason":"completed"}\n\n`)).toBe(true);
    expect(ndjson.lines.at(-1)).toEqual(end);
    expect(text.body).toBe('x\n');
    expect(served.feeds.counts().closed.completed).toBe(3);
    expect(served.feeds.subscribers('a')).toBe(0);
  });

  it('answer HEAD as they answer GET', async () => {
    const first = await served.feeds.publish('h', '1');
    const end = await served.feeds.finish('h');
    await served.feeds.publish('open', '1');
    const seen = async (method: string, query: string, feed: string) => {
      const answer = await fetch(path(feed, query), { method });
      await answer.body?.cancel();
      return [answer.status, answer.headers.get('feed-position'), answer.headers.get('cache-control')];
    };
    for (const [feed, query] of [
      ['h', ''],
      ['h', `?since=${end.id}`],
      ['h', `?since=${first.id}`],
      ['h', '?since=earliest'],
      ['h', '?since=new'],
      ['open', ''],
      ['open', '?since=earliest'],
      ['', `?id=h&since=${end.id}`],
      ['', `?id=h&id=open&since=${end.id}`],
      ['prices/none', ''],
    ] as const) {
      expect([feed, query, ...(await seen('HEAD', query, feed))]).toEqual([feed, query, ...(await seen('GET', query, feed))]);
    }
    expect((await seen('HEAD', `?since=${end.id}`, 'h'))[0]).toBe(204);
  });

  it('give those who come back what they missed and the end, and 204 to those who have it all', async () => {
    const first = await served.feeds.publish('b', '1');
    await served.feeds.publish('b', '2');
    const end = await served.feeds.finish('b');
    const from = (id: string | undefined) => get('b', '?format=ndjson', { 'last-event-id': id as string });
    const lines = (await (await from(first.id)).text()).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).data)).toEqual(['2', { reason: 'completed' }]);
    const over = await from(end.id);
    expect(over.status).toBe(204);
    expect(await over.text()).toBe('');
    expect(over.headers.get('feed-position')).toMatch(/-\d+$/);
    // Who has nothing gets the end, or all of it.
    expect(await (await get('b', '?format=sse')).text()).toContain('event: end\n');
    expect(await (await get('b', '?since=earliest')).text()).toBe('1\n2\n');
    expect((await get('b', `?since=${encodeURIComponent(end.id as string)}`)).status).toBe(204);
    expect((await fetch(path('b'), { method: 'HEAD' })).status).toBe(200);
    expect(served.feeds.counts().open).toBe(0);
  });

  it('are what an EventSource does not come back to', async () => {
    await served.feeds.publish('source', '1');
    const source = new EventSource(path('source', '?since=earliest&format=sse'));
    const ends: string[] = [];
    source.addEventListener('end', ({ data }) => ends.push(data));
    await subscribed('source');
    await served.feeds.finish('source', { error: 'It broke.' });
    await until(() => source.readyState === source.CLOSED);
    expect(ends).toEqual(['{"reason":"failed","message":"It broke."}']);
  });

  it('are ended over HTTP: completed, failed or stopped, and as often as one likes', async () => {
    const end = async (feed: string, query: string, body?: unknown, headers: Record<string, string> = key) => {
      const content = body === undefined ? {} : { body: JSON.stringify(body) };
      return fetch(path(feed, query), { method: 'POST', headers: { ...headers, ...(body !== undefined && asJson) }, ...content });
    };
    const saidOf = async (feed: string) => JSON.parse(await (await get(feed, '?format=ndjson')).text()).data;
    expect((await end('c1', '?end')).status).toBe(201);
    expect(await saidOf('c1')).toEqual({ reason: 'completed' });
    await end('c2', '?end', { error: 'No more credit.' });
    expect(await saidOf('c2')).toEqual({ reason: 'failed', message: 'No more credit.' });
    await end('c3', '?end=stopped');
    expect(await saidOf('c3')).toEqual({ reason: 'stopped' });
    await end('c4', '?end=failed');
    expect(await saidOf('c4')).toEqual({ reason: 'failed' });
    // The first end is the feed's.
    const again = await end('c4', '?end=completed');
    expect(await again.json()).toEqual({ id: (await served.feeds.stop('c4')).id, feed: 'c4', subscribers: 0 });
    expect(await saidOf('c4')).toEqual({ reason: 'failed' });

    for (const [query, body] of [
      ['?end=done', undefined],
      ['?end=stopped', { error: 'x' }],
      ['?end', { error: 1 }],
      ['?end', { error: 'x'.repeat(1001) }],
      ['?end', { reason: 'x' }],
    ] as const) {
      const answer = await end('c5', query, body);
      expect([query, answer.status, ((await answer.json()) as { code: string }).code]).toEqual([query, 400, 'FEED_MESSAGE']);
    }
    expect((await end('c5', '?end', undefined, {})).status).toBe(401);
    expect((await end('c5', '?end', {})).status).toBe(201);
  });

  it.each(['', 'Content-Length: 0\r\n'])('are ended also where the client has left before it was authorized (%j)', async (headers) => {
    const { port, feeds } = await serveFeeds(platform, { public: false, authorize });
    const peer = await Peer.to(port);
    peer.socket.end(`POST /feeds/a?end HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer x\r\n${headers}\r\n`);
    await until(async () => (await feeds.history('a')).ended !== undefined);
  });

  it.each(['/feeds/a', '/feeds/a?end'])('POST %s is over where its client has left before the body was read', async (target) => {
    const failures: unknown[] = [];
    const { port } = await serve(
      platform,
      { imports: [feedModule({ public: false, authorize })] },
      (app) => {
        withoutParsers(app.getHttpAdapter());
        app.useGlobalInterceptors({ intercept: (_, next) => next.handle().pipe(tap({ error: (error) => failures.push(error) })) });
      },
      { bodyParser: false },
    );
    const peer = await Peer.to(port);
    const head = [
      `POST ${target} HTTP/1.1`,
      'Host: test',
      'Authorization: Bearer x',
      'Content-Type: application/json',
      'Content-Length: 2',
    ];
    peer.socket.end(`${head.join('\r\n')}\r\n\r\n{}`);
    await until(() => failures.length === 1);
    expect(failures[0]).toMatchObject({ code: 'FEED_MESSAGE', message: 'The body is incomplete.' });
  });

  it.each(['Content-Length', 'Transfer-Encoding'])('are not ended by a body that is compressed (with %s)', async (header) => {
    const { port } = await serve(
      platform,
      { imports: [feedModule({ publishKey, public: true })] },
      (app) => withoutParsers(app.getHttpAdapter()),
      { bodyParser: false },
    );
    const body = gzipSync('{"error":"x"}').toString('latin1');
    const [value, sent] =
      header === 'Content-Length' ? [body.length, body] : ['chunked', `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`];
    const peer = await Peer.to(port);
    const head = ['POST /feeds/a?end HTTP/1.1', 'Host: test', `Authorization: Bearer ${publishKey}`, 'Content-Type: application/json'];
    peer.send(`${head.join('\r\n')}\r\nContent-Encoding: gzip\r\n${header}: ${value}\r\n\r\n${sent}`);
    await peer.sees('FEED_MEDIA_TYPE');
    expect(peer.status).toBe(415);
  });

  it.each([
    ['Content-Type: text/plain\r\nContent-Length: 1', 415],
    ['Content-Type: application/json\r\nContent-Length: 10000000', 413],
  ])('refuse an end at once that has %j', async (headers, status) => {
    const { port } = await serve(
      platform,
      { imports: [feedModule({ publishKey, public: true })] },
      (app) => withoutParsers(app.getHttpAdapter()),
      { bodyParser: false },
    );
    const peer = await Peer.to(port);
    peer.send(`POST /feeds/a?end HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer ${publishKey}\r\n${headers}\r\n\r\n`);
    await peer.sees('"code"');
    expect(peer.status).toBe(status);
  });

  it('take nothing more until they are cleared; then they begin anew, and those who have a position are told', async () => {
    const first = await served.feeds.publish('d', '1');
    await served.feeds.finish('d');
    const rejected = await post(path('d'), '2');
    expect(rejected.status).toBe(409);
    expect(await rejected.json()).toMatchObject({ code: 'FEED_ENDED', statusCode: 409 });
    await expect(served.feeds.publish('d', '2')).rejects.toMatchObject({ code: 'FEED_ENDED' });
    expect((await fetch(path('d'), { method: 'DELETE' })).status).toBe(401);
    expect((await fetch(path('d'), { method: 'DELETE', headers: key })).status).toBe(204);
    expect((await post(path('d'), '2')).status).toBe(201);
    const peer = await Peer.get(served.port, '/feeds/d?format=sse', `Last-Event-ID: ${first.id}`);
    await peer.sees('data: 2\n');
    expect(peer.body).toContain('event: reset\n');
    // One who follows it at that moment, too.
    await served.feeds.clear('d');
    await peer.sees(/event: reset\n.*event: reset\ndata: \{"feed":"d","oldest":null\}/s);
    expect(peer.socket.destroyed).toBe(false);
    await expect(served.feeds.clear('not a feed')).rejects.toMatchObject({ code: 'FEED_ID' });
  });

  it.each(['end', 'reset', 'error'])('reserve the type %s', async (type) => {
    const answer = await post(path('e', `?type=${type}`), 'x');
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ code: 'FEED_MESSAGE', message: expect.stringContaining(`"${type}"`) });
  });

  it('leave a connection on several feeds open until the last has ended', async () => {
    await served.feeds.finish('f/over');
    const { id } = await served.feeds.publish('f/1', '1');
    const peer = await Peer.get(served.port, '/feeds?id=f/1&id=f/2&id=f/over&format=ndjson', `Last-Event-ID: ${id}`);
    await subscribed('f/1');
    expect(served.feeds.subscribers('f/over')).toBe(0);
    await served.feeds.finish('f/1');
    await peer.sees('"end"');
    await served.feeds.publish('f/2', 'still open');
    await peer.sees('still open');
    await served.feeds.finish('f/2');
    await peer.closed();
    expect(peer.isComplete).toBe(true);
    expect(peer.lines.map(({ feed, type, data }) => [feed, type ?? data])).toEqual([
      ['f/1', 'end'],
      ['f/2', 'still open'],
      ['f/2', 'end'],
    ]);
    const all = await fetch(`${served.url}/feeds?id=f/1&id=f/2&id=f/over`, { headers: { 'last-event-id': `${peer.lines.at(-1)?.id}` } });
    expect(all.status).toBe(204);
  });

  it('leave a connection open that has a source', async () => {
    const peer = await Peer.get(served.port, '/own/1?format=sse');
    await subscribed('own/1');
    await served.feeds.finish('own/1');
    await peer.sees('event: end\n');
    await until(() => served.feeds.subscribers('own/1') === 0);
    expect(peer.isComplete).toBe(false);
    const without = await Peer.get(served.port, '/own/both/2?format=sse');
    await subscribed('own/2');
    await served.feeds.finish('own/2');
    await without.closed();
    expect(without.isComplete).toBe(true);
  });

  it('end behind the newest message of a conflated feed', async () => {
    const peer = await Peer.get(served.port, '/feeds/prices/x');
    await subscribed('prices/x');
    await served.feeds.publish('prices/x', '1');
    await served.feeds.finish('prices/x');
    await peer.closed();
    expect(peer.body).toBe('1\n');
    expect(peer.isComplete).toBe(true);
  });

  it('end the Observable of their messages, and a connection that comes to follow them', async () => {
    const live = firstValueFrom(served.feeds.messages('g').pipe(toArray()));
    await subscribed('g');
    await served.feeds.publish('g', '1');
    const end = await served.feeds.stop('g');
    const said = ({ type, data }: FeedMessage) => type ?? data;
    expect((await live).map(said)).toEqual(['1', 'end']);
    const read = (since: string) => firstValueFrom(served.feeds.messages('g', { since }).pipe(toArray()));
    expect((await read('earliest')).map(said)).toEqual(['1', 'end']);
    expect((await read('latest')).map(said)).toEqual(['end']);
    expect(await read(end.id as string)).toEqual([]);
  });

  it('give a slow client all of it, and then the end', async () => {
    const peer = await Peer.get(served.port, '/feeds/slow?format=ndjson');
    await subscribed('slow');
    peer.socket.pause();
    const big = 'x'.repeat(60_000);
    while (served.feeds.counts().bufferedBytes === 0) await served.feeds.publish('slow', big);
    await served.feeds.finish('slow');
    await served.feeds.clear('slow');
    peer.socket.resume();
    await peer.closed();
    expect(peer.isComplete).toBe(true);
    expect(peer.lines.at(-1)).toMatchObject({ type: 'end' });
  });
});

describe.each([true, false])('a feed that is ended over HTTP/2, of whose bodies no header tells (body parsers: %s)', (bodyParser) => {
  let served: Served;
  beforeEach(async () => {
    const adapter = new FastifyAdapter({ http2: true } as object);
    served = await serve(adapter, { imports: [feedModule({ publishKey })] }, () => withoutParsers(adapter, bodyParser), { bodyParser });
  });
  afterEach(closeAll);

  const end = async (query: string, body?: string, type: Record<string, string> = { 'content-type': 'application/json' }) => {
    const client = connect(served.url);
    atEnd(() => client.close());
    const headers = { ':method': 'POST', ':path': `/feeds/a?end${query}`, authorization: `Bearer ${publishKey}`, ...type };
    const stream = client.request(headers, { endStream: body === undefined });
    if (body !== undefined) {
      for (const byte of body) stream.write(byte);
      stream.end();
    }
    const [{ ':status': status }] = await once(stream, 'response');
    stream.close();
    return [status, (await served.feeds.history('a')).ended];
  };

  it('has failed with the message of the body', async () => {
    expect(await end('', '{"error":"The import has failed."}')).toEqual([201, { reason: 'failed', message: 'The import has failed.' }]);
  });

  it('is completed without one', async () => {
    expect(await end('', undefined, {})).toEqual([201, { reason: 'completed' }]);
  });

  it.each([
    ['', '{"error":5}', { 'content-type': 'application/json' }, 400],
    ['=completed', '{"error":"x"}', { 'content-type': 'application/json' }, 400],
    ['', '{', { 'content-type': 'application/json' }, 400],
    ['', 'x', { 'content-type': 'text/plain' }, 415],
    ['', 'x', {}, 415],
  ])('has not ended with ?end%s and the body %s of %j', async (query, body, type, status) => {
    expect(await end(query, body, type as Record<string, string>)).toEqual([status, undefined]);
  });
});
