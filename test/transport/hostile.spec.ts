import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { runInThisContext } from 'node:vm';
import { Controller, Get, type INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Feed, type FeedCounts, type FeedOptions, FeedService } from '../../src/index.js';
import { type Answer, answersIn, exchange, forEach } from '../support/hostile/answers.js';
import { Hostile } from '../support/hostile/hostile.js';
import { lineBreaks, malformedHeads, malformedIds, seed } from '../support/hostile/malformed.js';
import {
  floodsAfterRequest,
  type HostilePeer,
  halfCloses,
  neverReads,
  opensAndDrops,
  readsSlowly,
  resetsWhileHeadIsWritten,
  sendsHeadSlowly,
} from '../support/hostile/peers.js';
import { Peer } from '../support/peer.js';
import { adapterOf, feedModule, type Platform, platforms, type Served, until } from '../support/serve.js';

const publishKey = 'a-key';
const asPublisher = `Authorization: Bearer ${publishKey}\r\nContent-Type: text/plain\r\n`;
const drainMs = 200;

/** The field that hostile requests try to get into an answer, where it would be one. */
const injected = /[\r\n]x-injected/i;

@Controller()
class AppController {
  @Get('route')
  route() {
    return 'ordinary';
  }

  @Feed('own/:id')
  own() {}
}

/** Starts an application whose limits come soon. */
async function serve(platform: Platform, options: FeedOptions = {}, prepare: (app: INestApplication) => void = () => {}): Promise<Served> {
  class Root {}
  const imports = [feedModule({ drainMs, publishKey, ...options })];
  const adapter = adapterOf(platform, { connectionsCheckingInterval: 50, headersTimeout: 500 });
  const app = await NestFactory.create({ module: Root, imports, controllers: [AppController] }, adapter, { logger: false });
  prepare(app);
  await app.listen(0, '127.0.0.1');
  const { port } = app.getHttpServer().address() as AddressInfo;
  return { app, feeds: app.get(FeedService), port, url: `http://127.0.0.1:${port}` };
}

/** Sockets and timers of this process, which is server and peers in one. */
const resources = () => process.getActiveResourcesInfo().filter((name) => /^(TCP|Timeout)/.test(name)).length;

/** Jest gives tests a copy of `process`, which gets no events. */
const realProcess = runInThisContext('process') as NodeJS.Process;
const escaped: unknown[] = [];
const onEscaped = (error: unknown) => escaped.push(error);

beforeAll(() => {
  realProcess.on('uncaughtException', onEscaped).on('unhandledRejection', onEscaped);
});
afterEach(async () => {
  Peer.leaveAll();
  await Hostile.stopAll();
  expect(escaped.splice(0)).toEqual([]);
});
afterAll(() => {
  realProcess.off('uncaughtException', onEscaped).off('unhandledRejection', onEscaped);
});

/** An ordinary client of the same server. */
class Neighbour {
  private published = 0;

  private constructor(
    private readonly served: Served,
    private readonly follower: Peer,
  ) {}

  static async of(served: Served): Promise<Neighbour> {
    const follower = await Peer.get(served.port, '/feeds/calm');
    await follower.sees('\r\n\r\n');
    return new Neighbour(served, follower);
  }

  /** Gets the next message, and an answer of an ordinary route. */
  async isServed(): Promise<void> {
    this.published += 1;
    await this.served.feeds.publish('calm', `message ${this.published}`);
    await this.follower.sees(`message ${this.published}\n`);
    const [answer] = answersIn(await exchange(this.served.port, 'GET /route HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n'));
    expect(answer).toMatchObject({ status: 200, body: 'ordinary' });
  }

  /** Whether it got each message once, in order, and nothing else. */
  expectAll(): void {
    const all = Array.from({ length: this.published }, (_, n) => `message ${n + 1}\n`);
    expect(this.follower.body).toBe(all.join(''));
  }

  leave(): void {
    this.follower.leave();
  }
}

const padding = 'x'.repeat(60_000);

/** How many of each kind are at work at once. */
const several = 5;

interface Kind {
  name: string;
  peer: HostilePeer;
  /** Whether they have done their worst, and the service what it does about that; the neighbour is one of the connections. */
  isDone: (hostile: Hostile, counts: FeedCounts) => boolean;
}

const kinds: Kind[] = [
  { name: 'never reads', peer: neverReads, isDone: (_, { closed }) => closed.slow === several },
  { name: 'reads a byte a second', peer: readsSlowly(1), isDone: ({ work }, { closed }) => work > 0 && closed.slow === several },
  { name: 'sends its head a byte a second', peer: sendsHeadSlowly(1), isDone: ({ open }, { opened }) => open === 0 && opened === 1 },
  { name: 'half-closes', peer: halfCloses, isDone: ({ open, work }) => open === 0 && work === 2 },
  { name: 'resets while its head is written', peer: resetsWhileHeadIsWritten, isDone: ({ work }) => work >= 100 },
  // None of the requests that it floods with is served.
  {
    name: 'floods bytes after its request',
    peer: floodsAfterRequest,
    isDone: ({ work }, { opened }) => work > 2 ** 23 && opened <= 4 * several + 1,
  },
  { name: 'opens and drops in a loop', peer: opensAndDrops, isDone: ({ work }) => work >= 100 },
];

const attack = (peer: HostilePeer, port: number) => Promise.all(Array.from({ length: several }, () => peer(port, '/feeds/attacked')));

describe.each(platforms)('on %s, a peer that', (platform) => {
  it.each(kinds)('$name takes nothing from others and leaves nothing behind', async ({ peer, isDone }) => {
    const before = resources();
    const served = await serve(platform);
    const neighbour = await Neighbour.of(served);
    const calm = resources();

    const attackers = await attack(peer, served.port);
    await until(async () => {
      await served.feeds.publish('attacked', padding);
      await neighbour.isServed();
      return attackers.every((hostile) => isDone(hostile, served.feeds.counts()));
    });
    await Hostile.stopAll();
    await neighbour.isServed();
    neighbour.expectAll();
    await until(() => served.feeds.counts().open === 1 && resources() <= calm);
    const { opened, closed, bufferedBytes } = served.feeds.counts();
    expect({ opened: closed.client + closed.slow, bufferedBytes }).toEqual({ opened: opened - 1, bufferedBytes: 0 });

    neighbour.leave();
    await until(() => served.feeds.counts().open === 0);
    expect(served.feeds.counts()).toMatchObject({ feeds: 0, handedOver: 0 });
    await served.app.close();
    await until(() => resources() <= before);
  });

  it.each(kinds)('$name does not keep the server from closing', async ({ peer }) => {
    const before = resources();
    const served = await serve(platform, { bufferBytes: 2 ** 26 });
    await attack(peer, served.port);
    // More than the system takes for a client that does not read.
    for (let n = 0; n < 20; n += 1) {
      await served.feeds.publish('attacked', padding.repeat(5));
      await new Promise(setImmediate);
    }

    const began = performance.now();
    await served.app.close();
    expect(performance.now() - began).toBeLessThan(drainMs + 2000);
    expect(served.feeds.counts()).toMatchObject({ open: 0, bufferedBytes: 0 });
    await Hostile.stopAll();
    await until(() => resources() <= before);
  });
});

describe.each(platforms)('on %s, a connection', (platform) => {
  it('takes one place of those there are, whatever is pipelined on it', async () => {
    const served = await serve(platform, { maxConnections: 10 });
    const peer = await Peer.to(served.port);
    peer.send('GET /feeds/1 HTTP/1.1\r\nHost: test\r\n\r\n'.repeat(1000));
    await peer.sees('\r\n\r\n');
    expect(peer.head).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    const counts = served.feeds.counts();
    await served.app.close();
    expect(counts).toMatchObject({ open: 1, peak: 1, opened: 1, rejected: 0 });
  });

  describe('on which thousands of requests are pipelined', () => {
    let served: Served;
    let reached: number;
    let atOnce: number;
    let mostAtOnce: number;
    let wraps: boolean;

    beforeEach(async () => {
      [reached, atOnce, mostAtOnce, wraps] = [0, 0, 0, false];
      const count = (_request: IncomingMessage, response: ServerResponse, next: () => void) => {
        reached += 1;
        atOnce += 1;
        mostAtOnce = Math.max(mostAtOnce, atOnce);
        response.on('close', () => {
          atOnce -= 1;
        });
        // As a middleware that changes what is written: then there is no handover.
        if (wraps) response.write = response.write.bind(response);
        next();
      };
      served = await serve(platform, {}, (app) => app.use(count));
    });
    afterEach(() => served.app.close());

    const thousands = 5000;
    const flood = (path: string) => `GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`.repeat(thousands);

    it.each([false, true])('has the application see none but the first, which becomes a feed (not handed over: %j)', async (isWrapped) => {
      wraps = isWrapped;
      const peer = await Peer.to(served.port);
      peer.send(flood('/feeds/1'));
      await peer.sees('\r\n\r\n');
      await until(() => peer.socket.writableLength === 0);
      await served.feeds.publish('1', 'the first');
      await peer.sees('the first\n');
      expect(served.feeds.counts()).toMatchObject({ open: 1, handedOver: isWrapped ? 0 : 1 });
      peer.socket.end();
      await until(() => served.feeds.counts().open === 0);
      expect(reached).toBe(1);
    });

    it('is closed when its client sends no more behind them', async () => {
      const peer = await Peer.to(served.port);
      peer.send(flood('/feeds/1').slice(0, 10_000));
      peer.socket.end();
      await peer.closed();
      await until(() => served.feeds.counts().open === 0);
      expect(reached).toBe(1);
    });

    it('has the application see one after the other where they are refused, and neighbours between them', async () => {
      const neighbour = await Neighbour.of(served);
      const text = exchange(served.port, `${flood('/feeds/not%20an%20id')}GET /route HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n`);
      await until(() => reached > 100);
      await neighbour.isServed();
      expect(reached).toBeLessThan(thousands);
      const answers = answersIn(await text);
      expect(answers.map(({ status }) => status)).toEqual([...Array(thousands).fill(400), 200]);
      // One of them, and one of the neighbour's.
      expect(mostAtOnce).toBeLessThanOrEqual(2);
    });
  });
});

describe.each(platforms)(`on %s, 100,000 malformed requests (again with HOSTILE_SEED=${seed})`, (platform) => {
  let served: Served;

  beforeEach(async () => {
    served = await serve(platform);
  });
  afterEach(() => served.app.close());

  /** Refuses each with a 4xx or closes, and serves a neighbour meanwhile and afterwards. */
  const expectRefused = async (attack: (expectRefusal: (answers: Answer[], sent: unknown) => void) => Promise<void>) => {
    const neighbour = await Neighbour.of(served);
    let isOver = false;
    const over = attack((answers, sent) => {
      const isRefusal = answers.every(({ status, head, body }) => status >= 400 && status < 500 && !injected.test(head + body));
      if (!isRefusal) throw new Error(JSON.stringify({ sent, answers }));
    }).finally(() => {
      isOver = true;
    });
    while (!isOver) await neighbour.isServed();
    await over;
    await neighbour.isServed();
    neighbour.expectAll();
    expect(served.feeds.counts()).toMatchObject({ open: 1, opened: 1, feeds: 1 });
  };

  it('are refused: 30,000 heads, each on a connection of its own', async () => {
    await expectRefused((expectRefusal) =>
      forEach(malformedHeads(seed, 30_000), 64, async (head) => expectRefusal(answersIn(await exchange(served.port, head)), head)),
    );
  });

  it('are refused: 70,000 ids in paths, queries and publications, 70 on a connection', async () => {
    const perConnection = 70;
    const requests = malformedIds(seed, 70_000).map((id, n) => {
      const isLast = n % perConnection === perConnection - 1;
      const head = `HTTP/1.1\r\nHost: test\r\n${isLast ? 'Connection: close\r\n' : ''}`;
      if (n % 3 === 0) return `GET /feeds/${id} ${head}\r\n`;
      if (n % 3 === 1) return `GET /feeds?id=calm&id=${id} ${head}\r\n`;
      return `POST /feeds/${id} ${head}${asPublisher}Content-Length: 5\r\n\r\nhello`;
    });
    const batches = Array.from({ length: requests.length / perConnection }, (_, n) =>
      requests.slice(n * perConnection, (n + 1) * perConnection),
    );
    await expectRefused((expectRefusal) =>
      forEach(batches, 8, async (batch) => {
        const answers = answersIn(await exchange(served.port, batch.join('')));
        expect(answers).toHaveLength(batch.length);
        for (const [n, answer] of answers.entries()) expectRefusal([answer], batch[n]);
      }),
    );
  });
});

describe.each(platforms)('on %s, what a request says', (platform) => {
  let served: Served;

  afterEach(async () => {
    Peer.leaveAll();
    await until(() => served.feeds.counts().open === 0);
    await served.app.close();
  });

  it('never becomes a line of a head, an event or an answer of its own', async () => {
    // With a source that greets with the request's target.
    served = await serve(platform, { intervalMs: 60_000 });
    const follower = await Peer.get(served.port, '/feeds/a?format=sse');
    await follower.sees('welcomes');

    const asked: Promise<void>[] = [];
    let answered = 0;
    const ask = (method: string, target: string, ...fields: string[]) => {
      const head = [`${method} ${target} HTTP/1.1`, 'Host: test', 'Connection: close', ...fields].join('\r\n');
      const isAnswered = exchange(served.port, `${head}\r\n\r\n${method === 'POST' ? 'hello' : ''}`).then((text) => {
        if (/^HTTP\/1\.1 5/.test(text) || injected.test(text)) throw new Error(JSON.stringify({ head, text }));
        answered += 1;
      });
      asked.push(isAnswered);
      return isAnswered;
    };
    const publishes = [`Authorization: Bearer ${publishKey}`, 'Content-Length: 5'];
    for (const lineBreak of lineBreaks) {
      const encoded = `${lineBreak}X-Injected:%201${lineBreak}${lineBreak}X-Injected:%202`;
      const raw = Buffer.from(decodeURIComponent(encoded)).toString('latin1');
      const queries = ['id=a', 'format=sse', 'since=earliest', 'since=x-1/', 'token=', 'x='];
      for (const query of queries) ask('GET', `/feeds/a?${query}${encoded}`);
      for (const path of ['/feeds?id=a', '/feeds/a', '/own/', '/']) {
        ask('GET', `${path}${encoded}`, 'Accept: text/event-stream', 'Last-Event-ID: x-1');
      }
      for (const value of [encoded, raw]) {
        for (const name of ['Last-Event-ID', 'Accept', 'Authorization', 'Origin', 'X-Forwarded-For', 'Connection']) {
          ask('GET', '/feeds/a', `${name}: x-1/${value}`);
        }
        ask('GET', '/feeds/a', `Cookie: a=${value}; feed_token=${value}`);
        await ask('POST', '/feeds/a', ...publishes, `Content-Type: text/plain${value}`);
      }
      for (const target of ['/feeds/a?type=t', '/feeds/a'])
        await ask('POST', `${target}${encoded}`, ...publishes, 'Content-Type: text/plain');
    }
    await served.feeds.publish('a', 'the end');
    await follower.sees('data: the end\n');
    expect(follower.text).not.toMatch(injected);
    await until(() => {
      served.feeds.end();
      return answered === asked.length;
    }).finally(() => Promise.all(asked));
  });

  it.each(['/feeds/a', '/route'])('may be huge: %s is served, or refused with 431', async (path) => {
    served = await serve(platform);
    const ask = (fields: string) => exchange(served.port, `GET ${path} HTTP/1.1\r\nHost: test\r\n${fields}\r\n\r\n`);
    expect(await ask(`Cookie: a=${'x'.repeat(17_000)}`)).toMatch(/^HTTP\/1\.1 431 /);
    expect(await ask('Cookie: a=1\r\n'.repeat(2000))).toMatch(/^HTTP\/1\.1 431 /);
    // One that is still sending when the server closes may see a reset in the place of the answer.
    expect(await ask(`Cookie: a=${'x'.repeat(2 ** 25)}`)).toMatch(/^$|^HTTP\/1\.1 431 /);
    for (const cookies of [`Cookie: a=${'x'.repeat(15_000)}`, 'Cookie: a=1\r\n'.repeat(1000).trim(), `Cookie: ${'a=1; '.repeat(3000)}`]) {
      const peer = await Peer.get(served.port, path, cookies);
      await peer.sees(/^HTTP\/1\.1 200 OK\r\n.*\r\n\r\n/s);
    }
  });

  it('may be a huge token: it is refused', async () => {
    served = await serve(platform, { publishKey: undefined, jwtSecret: 's'.repeat(32) });
    for (const token of ['x'.repeat(15_000), '.'.repeat(15_000), `${'e30'.repeat(2000)}.e30.${'A'.repeat(8000)}`, '%0d%0a'.repeat(2000)]) {
      const fields = [`Cookie: feed_token=${token}`, `Cookie: ${'a=1; '.repeat(50)}feed_token=${token}`, `Authorization: Bearer ${token}`];
      for (const field of fields) {
        const text = await exchange(served.port, `GET /feeds/a HTTP/1.1\r\nHost: test\r\nConnection: close\r\n${field}\r\n\r\n`);
        expect(text).toMatch(/^HTTP\/1\.1 401 /);
        expect(text).not.toContain(token.slice(0, 100));
      }
    }
  });
});
