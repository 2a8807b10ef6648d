import type { IncomingMessage, ServerResponse } from 'node:http';
import { Body, Controller, Get, Post, Req, Res } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import session, { MemoryStore, type SessionData } from 'express-session';
import { concat, of, Subject } from 'rxjs';
import { generate } from 'selfsigned';
import { Feed, FeedService } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { closeAll, feedModule, platforms, type Served, serve, until } from '../support/serve.js';

const said = new Subject<string>();

@Controller('app')
class AppController {
  constructor(private readonly feeds: FeedService) {}

  @Feed('feed/:id')
  feed(@Req() request: { ip: string; protocol: string }) {
    return concat(of(`from ${request.ip} by ${request.protocol}`), said);
  }

  /** A route that the module does not know to be one of a feed. */
  @Get('connected')
  async connected(@Req() request: IncomingMessage, @Res() response: ServerResponse) {
    await this.feeds.connect(request, response, { feeds: ['a'] });
  }

  @Get('page')
  page() {
    return { page: 'x'.repeat(2000) };
  }

  @Post('form')
  form(@Body() body: { data: string }) {
    return { length: body.data.length };
  }
}

const metadata = { imports: [feedModule()], controllers: [AppController] };

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`;

/** Has something answered on a connection, and forgets the answer. */
async function ask(peer: Peer, request: string, answer: string | RegExp): Promise<void> {
  peer.send(request);
  await peer.sees(answer);
  peer.text = '';
}

describe.each(platforms)('a feed that is not the first request of its connection, on %s', (platform) => {
  let served: Served;
  const finished: string[] = [];
  const closedSockets: string[] = [];

  beforeEach(async () => {
    served = await serve(platform, metadata, (app) => {
      app.use((request: IncomingMessage, response: ServerResponse, next: () => void) => {
        response.on('finish', () => finished.push(`${request.url} ${response.statusCode} ${request.socket.remoteAddress}`));
        if (request.url?.startsWith('/app/feed/')) request.socket.once('close', () => closedSockets.push(`${request.url}`));
        next();
      });
    });
  });
  afterEach(async () => {
    await closeAll();
    finished.length = 0;
    closedSockets.length = 0;
  });

  it('leaves alone the parser that still reads the packet in which the feed is requested', async () => {
    for (const path of ['/app/feed/1', '/app/connected']) {
      const peer = await Peer.to(served.port);
      await ask(peer, get('/app/page'), /x"\}/);
      await served.feeds.publish('a', 'stored');
      // At a body, Node runs what waits to be run, in the middle of the packet.
      const asked = `GET ${path}?since=earliest HTTP/1.1\r\nHost: test\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello`;
      peer.send(`${asked}${get('/app/page')}${get('/app/page')}`);
      await peer.sees(/from|stored/);
      said.next('more');
      await served.feeds.publish('a', 'more');
      await peer.sees('more');
      expect(peer.text).not.toContain('xxx');
      peer.leave();
    }
    expect((await fetch(`${served.url}/app/page`)).status).toBe(200);
  });

  it('is handed over after a page, a form and what does not exist', async () => {
    const peer = await Peer.to(served.port);
    await ask(peer, get('/app/page'), 'xxx"}');
    const body = '{"data":"hello!"}';
    const head = 'POST /app/form HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n';
    await ask(peer, `${head}Content-Length: ${body.length}\r\n\r\n${body}`, '{"length":6}');
    await ask(peer, get('/nowhere'), '"statusCode":404}');
    await until(() => finished.length === 3);
    peer.send(get('/app/feed/1'));
    await peer.sees('from 127.0.0.1 by http\n');
    expect(served.feeds.counts()).toMatchObject({ open: 1, handedOver: 1 });
    await until(() => finished.length === 4);
    expect(finished[3]).toBe('/app/feed/1 200 127.0.0.1');
    // As with every handover, those who got the socket with the request see it closed.
    await until(() => closedSockets.length === 1);
    peer.send(get('/app/page'));
    said.next('later');
    await peer.sees('later\n');
    expect(peer.body).toBe('from 127.0.0.1 by http\nlater\n');
    expect(finished).toHaveLength(4);
    served.feeds.end();
    await peer.closed();
    expect(peer.isComplete).toBe(true);
    expect(served.feeds.counts()).toMatchObject({ open: 0, bufferedBytes: 0 });
  });

  it.each([
    ['half-closes', (peer: Peer) => peer.socket.end()],
    ['leaves', (peer: Peer) => peer.leave()],
    ['resets', (peer: Peer) => peer.reset()],
  ])('ends when its client %s', async (_, go) => {
    const peer = await Peer.to(served.port);
    await ask(peer, get('/app/page'), 'xxx"}');
    peer.send(get('/app/feed/1'));
    await peer.sees('by http\n');
    go(peer);
    await until(() => served.feeds.counts().open === 0);
    expect(served.feeds.counts().closed.client).toBe(1);
  });

  it('ends in good order when the application closes', async () => {
    const peer = await Peer.to(served.port);
    await ask(peer, get('/app/page'), 'xxx"}');
    peer.send(get('/app/feed/1'));
    await peer.sees('by http\n');
    await served.app.close();
    await peer.closed();
    expect(peer.isComplete).toBe(true);
  });

  it('is handed over where it is pipelined behind another request', async () => {
    const peer = await Peer.to(served.port);
    peer.send(`${get('/app/page')}${get('/app/page')}${get('/app/feed/1')}`);
    await peer.sees('by http\n');
    expect(peer.text.match(/200 OK/g)).toHaveLength(3);
    expect(served.feeds.counts()).toMatchObject({ open: 1, handedOver: 1 });
  });

  it('is served, and stays where it is, with requests pipelined behind it', async () => {
    const peer = await Peer.to(served.port);
    await ask(peer, get('/app/page'), 'xxx"}');
    peer.send(get('/app/feed/1') + get('/app/page').repeat(3) + get('/app/feed/2'));
    await peer.sees('by http\n');
    said.next('later');
    await peer.sees('later\n');
    expect(peer.body).toBe('from 127.0.0.1 by http\nlater\n');
    expect(served.feeds.counts()).toMatchObject({ open: 1, opened: 1, handedOver: 0 });
    served.feeds.end();
    await peer.closed();
    expect(peer.isComplete).toBe(true);
  });

  it('a slow reader of it ends as slow', async () => {
    const peer = await Peer.to(served.port);
    await ask(peer, get('/app/page'), 'xxx"}');
    peer.send(get('/app/feed/1'));
    await peer.sees('by http\n');
    peer.socket.pause();
    await until(() => {
      said.next('z'.repeat(60_000));
      return served.feeds.counts().closed.slow === 1;
    });
    peer.leave();
    await until(() => served.feeds.counts().open === 0);
  });

  it('a route that calls connect() is handed over, as the first request as well', async () => {
    for (const before of ['', get('/app/page')]) {
      const peer = await Peer.to(served.port);
      if (before) await ask(peer, before, 'xxx"}');
      peer.send(get('/app/connected'));
      await peer.sees('\r\n\r\n');
      await served.feeds.publish('a', 'published');
      await peer.sees('published\n');
      expect(served.feeds.counts()).toMatchObject({ open: 1, handedOver: 1 });
      peer.leave();
      await until(() => served.feeds.counts().open === 0);
    }
  });

  it('hundreds of them, between pages, cost a descriptor each and end with it', async () => {
    const peers = await Promise.all(
      Array.from({ length: 300 }, async (_, n) => {
        const peer = await Peer.to(served.port);
        for (let page = 0; page < n % 3; page += 1) await ask(peer, get('/app/page'), 'xxx"}');
        peer.send(get(`/app/feed/${n}`));
        await peer.sees('by http\n');
        return peer;
      }),
    );
    expect(served.feeds.counts()).toMatchObject({ open: 300, handedOver: 300 });
    said.next('to all');
    await Promise.all(peers.map((peer) => peer.sees('to all\n')));
    for (const peer of peers) peer.leave();
    await until(() => served.feeds.counts().open === 0);
    expect(closedSockets).toHaveLength(300);
  });
});

/** Saves late. */
class LateStore extends MemoryStore {
  readonly saving: (() => void)[] = [];
  override set(id: string, data: SessionData, callback?: (error?: unknown) => void) {
    super.set(id, data, () => this.saving.push(() => callback?.()));
  }
}

describe.each(platforms)('a feed that is not the first request, on %s, while its session is being saved', (platform) => {
  afterEach(closeAll);

  it.each([true, false])('goes on, and is released once that is done (its client is still there: %j)', async (stays) => {
    const store = new LateStore();
    const finished: string[] = [];
    const served = await serve(platform, metadata, (app) => {
      app.use(session({ secret: 'a secret of this spec', store, resave: false, saveUninitialized: true }));
      app.use((request: IncomingMessage, response: ServerResponse, next: () => void) => {
        response.on('close', () => finished.push(`${request.url}`));
        next();
      });
    });
    const peer = await Peer.to(served.port);
    peer.send(get('/app/page'));
    await until(() => store.saving.length === 1);
    store.saving[0]();
    await peer.sees('xxx"}');
    peer.text = '';
    peer.send(get('/app/feed/1'));
    await peer.sees('by http\n');
    expect(served.feeds.counts()).toMatchObject({ open: 1, handedOver: 1 });
    peer.send(get('/app/page'));
    said.next('later');
    await peer.sees('later\n');
    if (!stays) {
      peer.leave();
      await until(() => served.feeds.counts().open === 0);
    }
    expect(finished).toEqual(['/app/page']);
    store.saving[1]();
    await until(() => finished.length === 2);
    if (stays) {
      said.next('after that');
      await peer.sees('after that\n');
      served.feeds.end();
      await peer.closed();
      expect(peer.isComplete).toBe(true);
    }
    expect(store.saving).toHaveLength(2);
  });
});

/** Express's adapter takes such options from the application alone. */
class TlsExpressAdapter extends ExpressAdapter {
  constructor(private readonly tls: { key: string; cert: string }) {
    super();
  }

  override initHttpServer(): void {
    super.initHttpServer({ httpsOptions: this.tls });
  }
}

it.each(platforms)('a feed that is not the first request of its TLS connection is handed over, on %s', async (platform) => {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }]);
  const adapter = platform === 'express' ? new TlsExpressAdapter({ key, cert }) : new FastifyAdapter({ https: { key, cert } });
  const served = await serve(adapter, metadata);
  try {
    const peer = await Peer.secure(served.port);
    await ask(peer, get('/app/page'), 'xxx"}');
    peer.send(get('/app/feed/1'));
    await peer.sees('from 127.0.0.1 by https\n');
    expect(served.feeds.counts()).toMatchObject({ open: 1, handedOver: 1 });
    for (let n = 1; n <= 50; n += 1) said.next(`${n} ${'x'.repeat(1000)}`);
    await peer.sees('50 x');
    await served.app.close();
    await peer.closed();
    expect(peer.isComplete).toBe(true);
  } finally {
    await closeAll();
  }
});
