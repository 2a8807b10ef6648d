import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type FloodOptions, type FloodReport, flood, reportTable } from '../../src/flood/index.js';
import { atEnd, temporaryFolder } from '../support/ends.js';
import { Run } from '../support/run.js';

/** A message that was posted: the n-th of all, counted from 1. */
interface Post {
  n: number;
  path: string;
  body: string;
  request: IncomingMessage;
}

/** What a server does with a message. A number that it returns is the status of its answer, which otherwise is 201; with 0 there is none. */
type Handle = (post: Post, server: FeedServer) => unknown;

const deliver: Handle = ({ path, body }, server) => server.send(path, body);

const frames: Record<string, (id: number, path: string, data: string) => string> = {
  'text/event-stream': (id, _path, data) => `id: ${id}\ndata: ${data}\n\n`,
  'application/x-ndjson': (id, path, data) => `${JSON.stringify({ id: `${id}`, feed: path, data })}\n`,
};

/** Feeds of the plainest kind. What goes wrong with a message is for the test to say. */
class FeedServer {
  readonly posts: Post[] = [];
  private readonly followers = new Map<string, ServerResponse[]>();

  private constructor(readonly server: Server) {
    atEnd(() => this.stop());
  }

  static async start(handle: Handle = deliver, greet = (_path: string) => 'welcome'): Promise<FeedServer> {
    const server = createServer(async (request, response) => {
      const path = request.url as string;
      if (request.method === 'GET') {
        feeds.follow(path, response);
        response.write(`${greet(path)}\n`);
        return;
      }
      const post = { n: feeds.posts.length + 1, path, body: await text(request), request };
      feeds.posts.push(post);
      const status = handle(post, feeds);
      if (status !== 0) response.writeHead(typeof status === 'number' ? status : 201).end();
    });
    const feeds = new FeedServer(server);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return feeds;
  }

  stop(): void {
    this.server.close().closeAllConnections();
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/`;
  }

  send(path: string, data: string): this {
    for (const response of this.followers.get(path) ?? []) {
      const frame = frames[response.req.headers.accept ?? ''];
      response.write(frame ? frame(this.posts.length, path, data) : `${data}\n`);
    }
    return this;
  }

  /** Ends the response of one follower. */
  end(path: string): void {
    this.followers.get(path)?.pop()?.end();
  }

  private follow(path: string, response: ServerResponse): void {
    this.followers.set(path, [...(this.followers.get(path) ?? []), response]);
  }
}

/** 20 messages to 3 feeds, unless told otherwise. */
async function publish(handle: Handle, options: Partial<FloodOptions> = {}): Promise<FloodReport> {
  const { url } = await FeedServer.start(handle);
  return flood({ url, connections: 3, publish: 100, duration: 0.2, timeout: 1, ...options });
}

const faultless = { failed: 0, lost: 0, repeated: 0, outOfOrder: 0, misdelivered: 0 };

describe('flood that publishes', () => {
  it.each(['text', 'sse', 'ndjson'] as const)('finds a good server good, as %s', async (format) => {
    const report = await publish(deliver, { format });
    expect(report).toMatchObject({ ok: true, opened: 3, chunks: 0, unchecked: 0 });
    expect(report.publish).toEqual({
      ...faultless,
      rate: 100,
      perSecond: expect.any(Number),
      sent: 20,
      unsent: 0,
      acknowledged: 20,
      reasons: {},
      delivered: 20,
      latencyMs: { p50: expect.any(Number), p99: expect.any(Number), max: expect.any(Number) },
      lastMs: { p50: expect.any(Number), p99: expect.any(Number), max: expect.any(Number) },
    });
    expect(report.client.cpuMicrosPerChunk).toBeNull();
    expect(report.client.cpuMicrosPerDelivery).toBeGreaterThan(0);
  });

  const fifth = (lie: Handle): Handle => {
    return (post, server) => (post.n === 5 ? lie : deliver)(post, server);
  };
  const other = (path: string) => (path === '/1' ? '/2' : '/1');

  it.each<[string, object, Handle]>([
    ['a lost message', { lost: 1, acknowledged: 20, delivered: 19 }, fifth(() => 201)],
    ['a lost last message', { lost: 1, delivered: 19 }, (post, server) => (post.n === 20 ? 201 : deliver(post, server))],
    ['a repeated message', { repeated: 1, delivered: 20 }, fifth(({ path, body }, server) => server.send(path, body).send(path, body))],
    [
      'a message for another',
      { misdelivered: 1, lost: 1, delivered: 19 },
      fifth(({ path, body }, server) => server.send(other(path), body)),
    ],
    [
      'a message that was sent to another as well',
      { misdelivered: 1, delivered: 20 },
      fifth(({ path, body }, server) => server.send(other(path), body).send(path, body)),
    ],
    [
      'a message for an id that begins alike',
      { misdelivered: 20, delivered: 20 },
      ({ path, body }, server) => server.send(path, body.replace(/\/\d+$/, '$&0')).send(path, body),
    ],
    [
      'a message that nobody posted',
      { misdelivered: 1, delivered: 20 },
      fifth(({ path, body }, server) => server.send(path, `Message 1000000000 at 1 for id ${path}`).send(path, body)),
    ],
    ['refused messages', { failed: 1, acknowledged: 19, delivered: 19, reasons: { 'response status 500': 1 } }, fifth(() => 500)],
    [
      'a refused message that is delivered',
      { failed: 1, acknowledged: 19, delivered: 20 },
      fifth((post, server) => {
        deliver(post, server);
        return 503;
      }),
    ],
    [
      'a post that is cut off',
      { failed: 1, delivered: 19, reasons: { 'socket hang up': 1 } },
      fifth(({ request }) => request.socket.destroy()),
    ],
    ['a post without an answer', { failed: 1, sent: 20, delivered: 19, reasons: { 'no response': 1 } }, fifth(() => 0)],
  ])('finds %s', async (_what, found, handle) => {
    const report = await publish(handle);
    expect(report).toMatchObject({ ok: false, failed: 0, endedEarly: 0, publish: { ...faultless, ...found } });
  });

  it('finds two messages that changed places', async () => {
    let held: string | undefined;
    const swap: Handle = ({ n, path, body }, server) => {
      if (n === 5) held = body;
      else server.send(path, body);
      if (n === 6) server.send(path, held as string);
    };
    const report = await publish(swap, { connections: 1 });
    expect(report).toMatchObject({ ok: false, publish: { ...faultless, outOfOrder: 1, delivered: 20 } });
  });

  it('does not pile up posts that nobody answers', async () => {
    const report = await publish(() => 0, { connections: 50, publish: 1000 });
    expect(report.publish).toMatchObject({ sent: 32, unsent: 168, failed: 32, delivered: 0, lost: 0, reasons: { 'no response': 32 } });
  });

  it('counts what a fan-out loses for each follower', async () => {
    const lost = (post: Post, server: FeedServer) => (post.n === 20 ? 201 : deliver(post, server));
    const report = await publish(lost, { connections: 12, feeds: 3 });
    expect(report).toMatchObject({ ok: false, opened: 12, publish: { ...faultless, sent: 20, delivered: 76, lost: 4 } });
  });

  it('does not call lost what a follower that left had not got', async () => {
    const report = await publish(
      (post, server) => {
        if (post.n === 5) server.end(post.path);
        return deliver(post, server);
      },
      { connections: 4, feeds: 1 },
    );
    expect(report).toMatchObject({ ok: false, endedEarly: 1, publish: { ...faultless, sent: 20, delivered: 4 * 4 + 16 * 3 } });
  });

  it('tells of a server that dies', async () => {
    const dies: Handle = (post, server) => {
      if (post.n < 5) return deliver(post, server);
      server.stop();
      return 0;
    };
    const report = await publish(dies, { connections: 1 });
    expect(report).toMatchObject({ ok: false, endedEarly: 1, publish: { acknowledged: 4, delivered: 4, lost: 0 } });
    expect(report.publish?.failed).toBeGreaterThan(0);
    expect(report.publish?.unsent).toBeGreaterThan(0);
  });

  it('checks the chunks of the same feeds as well', async () => {
    const { url } = await FeedServer.start(deliver, (path) =>
      path === '/2' ? 'welcome' : `Chunk 1 for id ${path}\nChunk 3 for id ${path}`,
    );
    const report = await flood({ url, connections: 3, publish: 50, duration: 0.1 });
    expect(report).toMatchObject({ ok: false, chunks: 4, missing: 2, unchecked: 1, publish: { ...faultless, delivered: 5 } });
  });

  it('takes no notice of messages that others publish', async () => {
    const { url } = await FeedServer.start(deliver, () => 'Message 7 at 1 for id /elsewhere');
    const report = await flood({ url, connections: 2, duration: 0.1 });
    expect(report).toMatchObject({ ok: true, chunks: 0, unchecked: 2 });
    expect(report.publish).toBeUndefined();
  });

  it('shows the key and the token to whom they are for', async () => {
    const server = await FeedServer.start(({ request }) => (request.headers.authorization === 'Bearer k' ? 201 : 401));
    const tokens = new Set<string | undefined>();
    server.server.on('request', ({ method, headers }) => method === 'GET' && tokens.add(headers.authorization));
    const options = { url: server.url, connections: 2, publish: 20, duration: 0.1, timeout: 0.1, token: 't' };
    expect((await flood({ ...options, key: 'k' })).publish).toMatchObject({ acknowledged: 2, failed: 0 });
    expect((await flood(options)).publish).toMatchObject({ acknowledged: 0, failed: 2, reasons: { 'response status 401': 2 } });
    expect([...tokens]).toEqual(['Bearer t']);
  });

  it('posts text of the length that was asked for', async () => {
    const server = await FeedServer.start();
    const report = await flood({ url: `${server.url}a/?b=1`, connections: 11, publish: 100, duration: 0.2, messageBytes: 500 });
    expect(report).toMatchObject({ ok: true, publish: { delivered: 20 } });
    for (const { path, body, request } of server.posts) {
      expect(path).toMatch(/^\/a\/\d+\?b=1$/);
      expect(request.headers['content-type']).toBe('text/plain');
      expect(body).toHaveLength(500);
    }
  });

  it('prints what became of the messages, and no chunks where there are none', async () => {
    const table = reportTable(await publish(fifth(() => 500)));
    expect(table).toMatch(/published {2}20 \([\d.,]+ per second, 100 requested\) {3}19 acknowledged {3}1 failed {3}0 unsent\n/);
    expect(table).toMatch(/delivered {2}19 {3}0 lost {3}0 repeated {3}0 out of order {3}0 misdelivered\n/);
    expect(table).toMatch(/latency {2}p50 .* ms {3}p99 .* ms {3}max .* ms\n/);
    expect(table).toMatch(/last follower {2}p50/);
    expect(table).toMatch(/× 1 {2}publish: response status 500\n/);
    expect(table).not.toMatch(/chunk|unchecked|silence/);
  });
});

describe('the flood command that publishes', () => {
  /** Runs the command to its end; returns its exit code and what it printed. */
  const run = async (args: string[], env: Record<string, string> = {}) => {
    const command = Run.node(['dist/flood/cli.js', 'flood', ...args], env);
    return { status: await command.exit, printed: command.out };
  };
  const briefly = ['-c', '4', '-d', '0.1', '--timeout', '0.2', '--publish', '50'];
  const withKey = (key: string): Handle => {
    return (post, server) => (post.request.headers.authorization === `Bearer ${key}` ? deliver(post, server) : 401);
  };

  it('exits 0 when all went well', async () => {
    const server = await FeedServer.start(withKey('named'));
    const file = join(await temporaryFolder(), 'report.json');
    const more = ['--key', 'named', '--feeds', '1', '--message-bytes', '100', '--json', file];
    expect(await run([server.url, ...briefly, ...more], { FEED_PUBLISH_KEY: 'inherited' })).toMatchObject({ status: 0 });
    expect(JSON.parse(readFileSync(file, 'utf8')).publish).toMatchObject({ sent: 5, delivered: 20 });
    expect(server.posts.map(({ body }) => body.length)).toEqual([100, 100, 100, 100, 100]);
  });

  it('takes the key from the environment', async () => {
    const { url } = await FeedServer.start(withKey('inherited'));
    expect(await run([url, ...briefly], { FEED_PUBLISH_KEY: 'inherited' })).toMatchObject({ status: 0 });
  });

  it.each([
    ['publishing failed', 401, /× 5 {2}publish: response status 401\n/],
    ['messages were lost', 201, / {3}0 failed .*\n.* {3}5 lost /],
  ])('exits 1 when %s', async (_what, status, message) => {
    const { url } = await FeedServer.start(() => status);
    expect(await run([url, ...briefly])).toEqual({ status: 1, printed: expect.stringMatching(message) });
  });
});
