import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { ModuleMetadata } from '@nestjs/common';
import {
  Body,
  type CallHandler,
  type CanActivate,
  Controller,
  type ExecutionContext,
  Get,
  Injectable,
  type NestInterceptor,
  Post,
  Req,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';

import { concat, defer, NEVER, Observable, of, Subject } from 'rxjs';
import { generate } from 'selfsigned';
import { Feed } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { adapterOf, closeAll, feedModule, platforms, type Served, serve, serveFeeds, until } from '../support/serve.js';

/** A framework's response: both set a header by this name. */
interface Reply {
  header(name: string, value: string): unknown;
}

@Injectable()
class HeaderGuard implements CanActivate {
  async canActivate(context: ExecutionContext): Promise<boolean> {
    await new Promise(setImmediate);
    context.switchToHttp().getResponse<Reply>().header('X-Guard', 'seen');
    return true;
  }
}

@Injectable()
class HeaderInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    context.switchToHttp().getResponse<Reply>().header('X-Interceptor', 'seen');
    return next.handle();
  }
}

const said = new Subject<string>();

/** Lets the route that is slow answer. */
let answerSlow: () => void = () => {};

/** What the server has accepted. */
const sockets: Socket[] = [];

@Controller('app')
class AppController {
  @Feed('feed/:id')
  @UseGuards(HeaderGuard)
  @UseInterceptors(HeaderInterceptor)
  feed(@Req() request: { ip: string; secure?: boolean; protocol: string }): Observable<string> {
    return concat(of(`from ${request.ip} by ${request.protocol}`), said);
  }

  /** Its connection is gone before anybody can know. */
  @Feed('gone')
  gone(): Observable<string> {
    return defer(() => {
      sockets.at(-1)?.destroy();
      return of('too late');
    });
  }

  @Get('slow')
  async slow() {
    await new Promise<void>((resolve) => {
      answerSlow = resolve;
    });
    return 'at last';
  }

  @Get('socket')
  socket(@Req() { socket }: IncomingMessage) {
    return { isTls: 'encrypted' in socket, hasCertificate: 'getPeerCertificate' in socket };
  }

  @Get('route')
  route(@Req() request: { ip: string }) {
    return { ip: request.ip };
  }

  @Post('upload')
  upload(@Body() body: { data: string }) {
    return { length: body.data.length };
  }
}

const metadata = { imports: [feedModule({ source: () => concat(of('hello'), NEVER) })], controllers: [AppController] };

describe.each(platforms)('the handover on %s', (platform) => {
  let served: Served;
  const finished: string[] = [];

  beforeAll(async () => {
    served = await serve(platform, metadata, (app) => {
      app.getHttpServer().on('connection', (socket: Socket) => sockets.push(socket));
      app.enableCors({ origin: 'http://page.test', credentials: true });
      app.use((request: IncomingMessage, response: ServerResponse, next: () => void) => {
        response.setHeader('Set-Cookie', ['a=1', 'b=2']);
        response.setHeader('X-Frame-Options', 'DENY');
        // what a request logger does
        response.on('finish', () => finished.push(`${request.url} ${response.statusCode} ${request.socket.remoteAddress}`));
        next();
      });
    });
  });
  afterAll(closeAll);
  afterEach(async () => {
    Peer.leaveAll();
    finished.length = 0;
    await until(() => served.feeds.counts().open === 0);
  });

  it('carries the head that middleware, guards and interceptors made, and shows a finished 200', async () => {
    const peer = await Peer.get(served.port, '/app/feed/1', 'Origin: http://page.test');
    await peer.sees('from 127.0.0.1 by http\n');
    expect(served.feeds.counts()).toMatchObject({ open: 1, handedOver: 1 });
    const head = peer.head.toLowerCase();
    for (const line of [
      'access-control-allow-origin: http://page.test',
      'set-cookie: a=1',
      'set-cookie: b=2',
      'x-frame-options: deny',
      'x-guard: seen',
      'x-interceptor: seen',
    ]) {
      expect(head).toContain(`\r\n${line}`);
    }
    await until(() => finished.length === 1);
    expect(finished[0]).toMatch(/feed\/1 200 127\.0\.0\.1$/);
    said.next('later');
    await peer.sees('later\n');
    expect(peer.body).toBe('from 127.0.0.1 by http\nlater\n');
  });

  it('shows a finished 200, and is rid of it, also where the client is gone when the head is written', async () => {
    const peer = await Peer.get(served.port, '/app/gone');
    await peer.closed();
    await until(() => finished.length === 1);
    expect(finished[0]).toContain('gone 200 ');
  });

  it('answers a client that expects 100 Continue', async () => {
    const peer = await Peer.get(served.port, '/app/feed/1', 'Expect: 100-continue', 'Content-Length: 5');
    await peer.sees('HTTP/1.1 100 Continue\r\n\r\n');
    await peer.sees('by http\n');
    peer.send('hello');
    said.next('later');
    await peer.sees('later\n');
  });

  it('lets no byte of a body that comes late reach anybody', async () => {
    const peer = await Peer.get(served.port, '/app/feed/1', 'Content-Length: 1000000');
    await peer.sees('by http\n');
    peer.send('x'.repeat(1_000_000));
    await until(() => peer.socket.writableLength === 0);
    said.next('later');
    await peer.sees('later\n');
  });

  it('serves a request whose head comes a byte at a time', async () => {
    const peer = await Peer.to(served.port);
    peer.socket.setNoDelay(true);
    for (const byte of 'GET /app/feed/1 HTTP/1.1\r\nHost: test\r\n\r\n') {
      peer.send(byte);
      await new Promise(setImmediate);
    }
    await peer.sees('by http\n');
    expect(served.feeds.counts().handedOver).toBe(1);
  });

  it('hands over what was silent for longer than Node waits to look', async () => {
    const peer = await Peer.to(served.port);
    await new Promise((resolve) => setTimeout(resolve, 1200));
    peer.send('GET /app/feed/1 HTTP/1.1\r\nHost: test\r\n\r\n');
    await peer.sees('by http\n');
    expect(served.feeds.counts().handedOver).toBe(1);
  });

  it('keeps an ordinary connection alive, and answers what is pipelined on it in order', async () => {
    const peer = await Peer.to(served.port);
    peer.send('GET /app/route HTTP/1.1\r\nHost: test\r\n\r\n'.repeat(3));
    await peer.sees(/(ip.*){3}/s);
    peer.send('GET /nowhere HTTP/1.1\r\nHost: test\r\n\r\n');
    await peer.sees('404 Not Found');
    expect(peer.socket.destroyed).toBe(false);
  });

  it('a request target that is a whole URL names the same feed', async () => {
    const peer = await Peer.to(served.port);
    peer.send('GET http://test/app/feed/a HTTP/1.1\r\nHost: test\r\n\r\n');
    await peer.sees('by http\n');
    await served.feeds.publish('app/feed/a', 'arrives');
    await peer.sees('arrives\n');
  });

  it('a request on a proxied socket sees no properties of TLS', async () => {
    const silent = await Peer.to(served.port);
    await new Promise((resolve) => setTimeout(resolve, 1100)); // after a second, a silent socket is proxied
    silent.send('GET /app/socket HTTP/1.1\r\nHost: test\r\n\r\n');
    await silent.sees('{"isTls":false,"hasCertificate":false}');
  });

  it.each([1, 2, 7, 64, 200, 10_000])('answers in order what is pipelined behind a refused feed, %i bytes in a packet', async (length) => {
    const body = '{\r\n\r\n"data":\r\n\r\n"hello!"}';
    const upload = 'POST /app/upload HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n';
    const bytes = [
      'GET /feeds/not%20an%20id HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello',
      `${upload}Content-Length: ${body.length}\r\n\r\n${body}`,
      '\r\n\r\nHEAD /app/route HTTP/1.1\r\nHost: test\r\n\r\n',
      `${upload}Transfer-Encoding: chunked\r\n\r\n8\r\n${body.slice(0, 8)}\r\n${(body.length - 8).toString(16)}\r\n${body.slice(8)}\r\n0\r\n\r\n`,
      `${upload}Content-Length: ${body.length}\r\nExpect: 100-continue\r\n\r\n${body}`,
      'GET /feeds/1 HTTP/1.1\r\nHost: test\r\n\r\nGET /feeds/2 HTTP/1.1\r\nHost: test\r\n\r\n',
    ].join('');
    const peer = await Peer.to(served.port);
    peer.socket.setNoDelay(true);
    for (let at = 0; at < bytes.length; at += length) {
      peer.send(bytes.slice(at, at + length));
      await new Promise(setImmediate);
    }
    await peer.sees(/hello\n/);
    expect(peer.text.match(/(?<=HTTP\/1\.1 )\d+/g)).toEqual(['400', '201', '200', '201', '100', '201', '200']);
    expect(peer.text.match(/"length":\d+/g)).toEqual(Array(3).fill('"length":6'));
    expect(served.feeds.counts()).toMatchObject({ open: 1, handedOver: 1 });
  });

  it.each(['/socket', '/app/feed/1'])('leaves an upgrade of %s to the application', async (path) => {
    const server: Server = served.app.getHttpServer();
    server.once('upgrade', (_request, socket, head) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
      socket.write(head);
      socket.pipe(socket);
    });
    const peer = await Peer.to(served.port);
    const early = 'this is early\r\n\r\nand this';
    peer.send(`GET ${path} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n${early}`);
    await peer.sees('101 Switching');
    await peer.sees(early);
    peer.send('echo this');
    await peer.sees(`${early}echo this`);
    peer.socket.end();
    await peer.closed();
  });

  it('lets a client go that says nothing, or not enough', async () => {
    for (const bytes of ['', 'G', 'GET /app/feed/1', 'GET /app/feed/1 HTTP/1.1\r\n']) {
      const peer = await Peer.to(served.port);
      if (bytes !== '') peer.send(bytes);
      peer.socket.end();
      await peer.closed();
      (await Peer.to(served.port)).reset();
    }
  });
});

describe.each(platforms)("the server's own limits on %s", (platform) => {
  afterEach(closeAll);

  it('cut off a head for a feed that takes too long', async () => {
    const { port } = await serve(adapterOf(platform, { connectionsCheckingInterval: 50, headersTimeout: 200 }), metadata);
    for (const bytes of ['', 'GET /feeds/1', 'GET /feeds/1 HTTP/1.1\r\nHost: test\r\n']) {
      const peer = await Peer.to(port);
      if (bytes !== '') peer.send(bytes);
      expect(await peer.closed()).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/);
    }
  });

  it('do not end a feed', async () => {
    const served = await serve(platform, metadata, (app) => {
      app.getHttpServer().setTimeout(100);
    });
    const peer = await Peer.get(served.port, '/feeds/1');
    await peer.sees('hello\n');
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(served.feeds.counts().open).toBe(1);
    await served.app.close();
  });

  it('close at once, with feeds, idle, silent and half-spoken connections there', async () => {
    const served = await serve(platform, metadata);
    const feed = await Peer.get(served.port, '/feeds/1');
    await feed.sees('hello\n');
    const idle = await Peer.get(served.port, '/feeds/not%20an%20id');
    await idle.sees('400');
    const [silent, halfway] = [await Peer.to(served.port), await Peer.to(served.port)];
    halfway.send('GET /feeds/1 HTTP/1.1\r\nHost: te');
    // Requests behind these on the same loop have been served: so these were accepted.
    await fetch(`${served.url}/feeds/1`, { method: 'HEAD' });
    await served.app.close();
    for (const peer of [feed, idle, silent, halfway]) await peer.closed();
    expect(feed.isComplete).toBe(true);
  });
});

describe.each(platforms)('with and without the handover on %s', (platform) => {
  afterEach(closeAll);

  it.each([true, false])('notices that a client left, half-closed or reset (handover: %j)', async (handover) => {
    const served = await serveFeeds(platform, { handover, intervalMs: 10 });
    for (const go of [(peer: Peer) => peer.leave(), (peer: Peer) => peer.socket.end(), (peer: Peer) => peer.reset()]) {
      const peer = await Peer.get(served.port, '/feeds/1');
      await peer.sees('Chunk 1');
      go(peer);
      await until(() => served.feeds.counts().open === 0);
    }
    expect(served.feeds.counts().closed.client).toBe(3);
  });
});

describe.each(platforms)('without the handover on %s', (platform) => {
  let served: Served;

  afterEach(closeAll);

  it('serves the same feed where it is switched off', async () => {
    served = await serveFeeds(platform, { handover: false, source: () => concat(of('hello'), said) });
    const peer = await Peer.get(served.port, '/feeds/1');
    await peer.sees('hello\n');
    expect(served.feeds.counts()).toMatchObject({ open: 1, handedOver: 0 });
    peer.send('GET /feeds/2 HTTP/1.1\r\nHost: test\r\n\r\n'.repeat(100));
    said.next('later');
    await peer.sees('later\n');
    expect(peer.body).toBe('hello\nlater\n');
    served.feeds.end();
    await peer.closed();
    expect(peer.isComplete).toBe(true);
    expect(served.feeds.counts().opened).toBe(1);
  });

  it('a feed that is pipelined behind a request without an answer waits for it, and is released where its client leaves before', async () => {
    let subscribed = 0;
    const source = () =>
      new Observable<string>((subscriber) => {
        subscribed += 1;
        subscriber.next('here');
      });
    for (const handover of [true, false]) {
      served = await serveFeeds(platform, { source, handover, drainMs: 500 }, { controllers: [AppController] });
      const pipelined = 'GET /app/slow HTTP/1.1\r\nHost: test\r\n\r\nGET /feeds/a HTTP/1.1\r\nHost: test\r\n\r\n';
      const stays = await Peer.to(served.port);
      answerSlow = () => {};
      const idle = answerSlow;
      stays.send(pipelined);
      await until(() => answerSlow !== idle);
      answerSlow();
      await stays.sees('here\n');
      expect(stays.text).toMatch(/at last[\s\S]*here\n/);
      for (let n = 0; n < 5; n += 1) {
        const leaves = await Peer.to(served.port);
        answerSlow = idle;
        leaves.send(pipelined);
        await until(() => answerSlow !== idle);
        leaves.reset();
      }
      stays.leave();
      await until(() => served.feeds.counts().open === 0);
      expect(served.feeds.counts()).toMatchObject({ opened: 1, closed: { client: 1 } });
      if (handover) await served.app.close();
    }
    expect(subscribed).toBe(2);
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

describe.each(platforms)('the handover with TLS on %s', (platform) => {
  const start = async (more: ModuleMetadata) => {
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }]);
    return serve(platform === 'express' ? new TlsExpressAdapter({ key, cert }) : new FastifyAdapter({ https: { key, cert } }), more);
  };

  afterEach(closeAll);

  it('serves feeds, ordinary routes and silent clients', async () => {
    const { app, feeds, port } = await start(metadata);

    const peer = await Peer.secure(port);
    peer.send('GET /app/feed/1 HTTP/1.1\r\nHost: test\r\n\r\n');
    await peer.sees('from 127.0.0.1 by https\n');
    expect(feeds.counts()).toMatchObject({ open: 1, handedOver: 1 });
    for (let n = 1; n <= 50; n += 1) said.next(`${n} ${'x'.repeat(1000)}`);
    await peer.sees('50 x');
    // More than a connection may hold, in one turn of the event loop, to a client that reads: and then to one that does not.
    for (let n = 1; n <= 10; n += 1) said.next(`burst ${n} ${'y'.repeat(60_000)}`);
    said.next('after the burst');
    await peer.sees('after the burst\n');
    expect(feeds.counts().closed.slow).toBe(0);
    const clogged = await Peer.secure(port);
    clogged.send('GET /app/feed/2 HTTP/1.1\r\nHost: test\r\n\r\n');
    await clogged.sees('by https\n');
    clogged.socket.pause();
    let more = 0;
    while (feeds.counts().closed.slow === 0) {
      more += 1;
      said.next('z'.repeat(60_000));
      await until(() => feeds.count('app/feed/1').bufferedBytes === 0);
    }
    said.next('the end');
    await peer.sees('the end\n');
    const pipelined = await Peer.secure(port);
    pipelined.send(
      `${'GET /feeds/not%20an%20id HTTP/1.1\r\nHost: test\r\n\r\n'.repeat(100)}${'GET /app/feed/3 HTTP/1.1\r\nHost: test\r\n\r\n'.repeat(1000)}`,
    );
    await pipelined.sees('by https\n');
    expect(pipelined.text.match(/400 Bad Request/g)).toHaveLength(100);
    pipelined.leave();
    const route = await Peer.secure(port);
    route.send('GET /app/route HTTP/1.1\r\nHost: test\r\n\r\n');
    await route.sees('{"ip":"127.0.0.1"}');
    const silent = await Peer.secure(port);
    await app.close();
    await Promise.all([peer.closed(), route.closed(), silent.closed()]);
    expect(peer.isComplete).toBe(true);
    expect(peer.body.split('\n')).toHaveLength(52 + 11 + more + 1);
  });

  it('ends with handshakes that do not', async () => {
    const { app, port } = await start({ imports: [feedModule({ intervalMs: 1000, drainMs: 200 })] });
    const mute = await Peer.to(port);
    const broken = await Peer.to(port);
    broken.send('GET / HTTP/1.1\r\n\r\n');
    await broken.closed();
    const shaken = await Peer.secure(port);
    shaken.send('GET /feeds/a HTTP/1.1\r\nHost: test\r\n\r\n');
    await shaken.sees('Chunk 1');
    await app.close();
    await mute.closed();
    expect(await shaken.closed()).toMatch(/\r\n0\r\n\r\n$/);
  });
});
