import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Controller, Get, type INestApplication, Req } from '@nestjs/common';
import compression from 'compression';
import session, { MemoryStore, type SessionData } from 'express-session';
import { concat, NEVER, of, Subject } from 'rxjs';
import { Feed } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { closeAll, feedModule, platforms, type Served, serve, until } from '../support/serve.js';

type Next = () => void;

/** Express's own request and, with a middleware, Fastify's: the session is on the one that Node made. */
const sessionOf = (request: unknown) => {
  const { raw = request } = request as { raw?: unknown };
  return (raw as { session?: SessionData & { visits?: number } }).session;
};

const said = new Subject<string>();

@Controller('app')
class AppController {
  @Feed('feed/:id')
  feed(@Req() request: unknown) {
    const visitor = sessionOf(request);
    if (visitor) visitor.visits = (visitor.visits ?? 0) + 1;
    return concat(of('hello'), said);
  }

  @Get('page')
  page() {
    return { page: 'x'.repeat(2000) };
  }

  @Get('visits')
  visits(@Req() request: unknown) {
    return { visits: sessionOf(request)?.visits ?? 0 };
  }
}

/** What the application logs as a warning. */
const warnings: string[] = [];

async function start(platform: (typeof platforms)[number], prepare: (app: INestApplication) => void): Promise<Served> {
  const served = await serve(platform, { imports: [feedModule({ source: () => NEVER })], controllers: [AppController] }, (app) => {
    app.useLogger({ log() {}, error() {}, warn: (message: unknown) => warnings.push(String(message)) });
    prepare(app);
  });
  return served;
}

/** Opens feeds one after the other. */
async function follow({ port }: Served, length: number, ...headers: string[]): Promise<Peer[]> {
  const peers: Peer[] = [];
  for (let n = 0; n < length; n += 1) {
    const peer = await Peer.get(port, `/app/feed/${n}`, 'Accept-Encoding: gzip, br', ...headers);
    await peer.sees('hello\n');
    peers.push(peer);
  }
  return peers;
}

describe.each(platforms)('on %s, behind middleware that replaces write() or end()', (platform) => {
  afterEach(async () => {
    await closeAll();
    warnings.length = 0;
  });

  const secret = 'a secret of this spec';

  it('a feed is handed over behind compression(), and goes out as it is', async () => {
    const served = await start(platform, (app) => app.use(compression({ threshold: 0 })));
    const [peer] = await follow(served, 1);
    expect(served.feeds.counts()).toMatchObject({ open: 1, handedOver: 1 });
    said.next('later');
    await peer.sees('later\n');
    expect(peer.body).toBe('hello\nlater\n');
    expect(peer.head).not.toMatch(/content-encoding/i);
    const page = await fetch(`${served.url}/app/page`);
    expect(page.headers.get('content-encoding')).toMatch(/gzip|br/);
    served.feeds.end();
    await peer.closed();
    expect(peer.isComplete).toBe(true);
    expect(warnings).toEqual([]);
  });

  it.each(['ends at once', 'ends late'])(
    'a feed is handed over behind express-session, which sends its cookie and saves (a store that %s)',
    async (how) => {
      class LateStore extends MemoryStore {
        override set(id: string, data: SessionData, callback?: (error?: unknown) => void) {
          super.set(id, data, () => setTimeout(() => callback?.(), 50));
        }
      }
      const store = how === 'ends late' ? new LateStore() : new MemoryStore();
      const finished: string[] = [];
      const served = await start(platform, (app) => {
        app.use((request: IncomingMessage, response: ServerResponse, next: Next) => {
          response.on('finish', () => finished.push(`${request.url} ${response.statusCode} ${request.socket.remoteAddress}`));
          next();
        });
        app.use(session({ secret, store, resave: false, saveUninitialized: false }));
        app.use(compression({ threshold: 0 }));
      });
      const [peer] = await follow(served, 1);
      expect(served.feeds.counts()).toMatchObject({ open: 1, handedOver: 1 });
      const cookie = /set-cookie: (connect\.sid=[^;]+)/i.exec(peer.head)?.[1] as string;
      await until(() => finished.length === 1);
      expect(finished[0]).toMatch(/feed\/0 200 127\.0\.0\.1$/);
      // Saved while the feed is open: another request sees it.
      expect(await (await fetch(`${served.url}/app/visits`, { headers: { cookie } })).json()).toEqual({ visits: 1 });
      said.next('later');
      await peer.sees('later\n');
      expect(peer.body).toBe('hello\nlater\n');
      peer.leave();
      await until(() => served.feeds.counts().open === 0);
      expect(warnings).toEqual([]);
    },
  );

  it('a middleware that changes a feed all the same is told once to the log, with the cure', async () => {
    const served = await start(platform, (app) => {
      app.use((_request: IncomingMessage, response: ServerResponse, next: Next) => {
        response.setHeader('Cache-Control', 'no-store');
        const write = response.write;
        response.write = function (this: ServerResponse, chunk: unknown, ...rest: unknown[]) {
          return write.call(this, String(chunk).toUpperCase(), ...(rest as [BufferEncoding]));
        } as ServerResponse['write'];
        next();
      });
    });
    for (let n = 0; n < 3; n += 1) await (await Peer.get(served.port, `/app/feed/${n}`)).sees('HELLO\n');
    expect(served.feeds.counts()).toMatchObject({ open: 3, handedOver: 0 });
    expect(warnings).toEqual([expect.stringMatching(/write\(\).*no-transform/s)]);
  });

  it('a feed that is compressed is not handed over, and that is told once', async () => {
    const served = await start(platform, (app) => {
      app.use((_request: IncomingMessage, response: ServerResponse, next: Next) => {
        response.setHeader('Cache-Control', 'no-store');
        next();
      });
      app.use(compression({ threshold: 0 }));
    });
    for (let n = 0; n < 2; n += 1) {
      const peer = await Peer.get(served.port, `/app/feed/${n}`, 'Accept-Encoding: gzip');
      await peer.sees('\r\n\r\n');
      expect(peer.head).toMatch(/content-encoding: gzip/i);
    }
    expect(served.feeds.counts()).toMatchObject({ open: 2, handedOver: 0 });
    expect(warnings).toHaveLength(1);
  });

  it('a library that listens for connections before Node does is left its place', async () => {
    const heard: Socket[] = [];
    const hear = (socket: Socket) => heard.push(socket);
    const served = await start(platform, (app) => {
      const server: Server = app.getHttpServer();
      server.prependListener('connection', hear);
    });
    await follow(served, 2);
    expect(await (await fetch(`${served.url}/app/visits`)).json()).toEqual({ visits: 0 });
    expect(heard).toHaveLength(3);
    expect((served.app.getHttpServer() as Server).listeners('connection')).toContain(hear);
    expect(served.feeds.counts()).toMatchObject({ open: 2, handedOver: 2 });
    expect(warnings).toEqual([]);
  });

  it('a library that has taken the place of Node is left to it, and that is told once', async () => {
    const served = await start(platform, (app) => {
      const server: Server = app.getHttpServer();
      const [listener] = server.listeners('connection') as ((socket: Socket) => void)[];
      server.removeListener('connection', listener);
      server.on('connection', function (this: Server, socket: Socket) {
        listener.call(this, socket);
      });
    });
    await follow(served, 2);
    expect(served.feeds.counts()).toMatchObject({ open: 2, handedOver: 0 });
    expect(warnings).toEqual([expect.stringContaining("'connection'")]);
  });
});
