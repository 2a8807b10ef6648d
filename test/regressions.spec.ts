import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Get, NotFoundException, Param, Query, Req, Res, UseGuards } from '@nestjs/common';
import { concat, NEVER, Observable, of } from 'rxjs';
import { type Connection, Feed, FeedAuthGuard, type FeedEvent, type FeedOptions, FeedService, FeedTokenService } from '../src/index.js';
import { Peer } from './support/peer.js';
import { feedModule, platforms, type Served, serve, until } from './support/serve.js';

let opened: Connection | undefined;
let answerSlow: () => void = () => {};

@Controller('own')
class OwnController {
  constructor(private readonly feeds: FeedService) {}

  @Feed('any/:id')
  any() {}

  @Feed('named/:id', { feed: ({ params }) => params.id as string })
  named() {}

  @Feed('guarded/:id')
  @UseGuards(FeedAuthGuard)
  guarded() {}

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

  @Get('empty')
  async empty(@Req() request: IncomingMessage, @Res() response: ServerResponse) {
    opened = await this.feeds.connect(request, response, { feeds: [] });
  }
}

/** As compilers make it that do not emit the types of parameters. */
class UntypedController {
  follow(id: string, from = '0') {
    return of(`${id} from ${from}`);
  }
}
Param('id')(UntypedController.prototype, 'follow', 0);
Query('from')(UntypedController.prototype, 'follow', 1);
const described = Object.getOwnPropertyDescriptor(UntypedController.prototype, 'follow') as PropertyDescriptor;
Feed(':id')(UntypedController.prototype, 'follow', described);
Object.defineProperty(UntypedController.prototype, 'follow', described);
Controller('untyped')(UntypedController);

const offsets = (peer: Peer) => [...peer.body.matchAll(/"id":"\w+-(\d+)\//g)].map((match) => Number(match[1]));

describe.each(platforms)('on %s', (platform) => {
  let served: Served;
  const start = async (options: FeedOptions = {}) => {
    served = await serve(platform, {
      imports: [feedModule(options)],
      controllers: [OwnController, UntypedController],
    });
  };
  const follow = async (path: string, ...headers: string[]) => {
    const before = served.feeds.counts().opened;
    const peer = await Peer.get(served.port, path, ...headers);
    await until(() => served.feeds.counts().opened > before || peer.socket.destroyed);
    return peer;
  };

  afterEach(async () => {
    Peer.leaveAll();
    await served.app.close();
  });

  it('an answer to a message comes behind it', async () => {
    await start();
    served.feeds.messages('question').subscribe(() => void served.feeds.publish('answer', 'yes'));
    const peer = await follow('/feeds?id=question&id=answer&format=ndjson');
    await served.feeds.publish('question', 'is it?');
    await peer.sees('yes');
    expect(offsets(peer)).toEqual([1, 2]);
  });

  it('what is published right after somebody began to follow reaches them', async () => {
    await start();
    const got: unknown[] = [];
    served.feeds.messages('a').subscribe(({ data }) => got.push(data));
    await served.feeds.publish('a', 1);
    served.feeds.events$.subscribe((event) => {
      if (event.type === 'followed') void served.feeds.publish(event.feed, 'welcome');
    });
    const peer = await follow('/feeds/b');
    await peer.sees('welcome\n');
    await until(() => got.length === 1);
  });

  it('whoever is given the last message again does not get it a second time when it comes back', async () => {
    await start({ rules: { '*': { replay: 'newest' } } });
    await served.feeds.publish('a', 'one');
    await served.feeds.publish('b', 'two');
    for (const path of ['/feeds/a', '/feeds?id=a&id=b']) {
      const peer = await follow(`${path}${path.includes('?') ? '&' : '?'}format=sse`);
      await until(() => /id: \w+-\d+\n\n$/.test(peer.body));
      const ids = [...peer.body.matchAll(/^id: (.*)$/gm)].map((match) => match[1] as string);
      const again = await follow(path, `Last-Event-ID: ${ids.at(-1)}`);
      await served.feeds.publish('a', 'next');
      await again.sees('next\n');
      expect(again.body).toMatch(/^(a\t)?next\n$/);
      // Each of the messages says which feed it is of.
      for (const id of ids.slice(0, -1)) expect(id).toMatch(/\/[ab]$/);
    }
  });

  it("the id of an application's own source is left to that", async () => {
    await start({ source: () => concat(of({ id: '18', data: 'own' }), NEVER) });
    const peer = await follow('/feeds/a?format=ndjson', 'Last-Event-ID: 17');
    await peer.sees('own');
    expect(peer.body).toBe('{"id":"18","data":"own"}\n');
  });

  it('a source of the built-in route that fails soon is an ordinary answer', async () => {
    await start({ source: async () => Promise.reject(new NotFoundException('no such thing')) as never });
    await served.feeds.publish('a', 'kept');
    for (const path of ['/feeds/a', '/feeds/a?since=earliest']) expect((await fetch(served.url + path)).status).toBe(404);
    expect(served.feeds.counts()).toMatchObject({ open: 0, feeds: 0 });
  });

  it("a token's feeds hold on the application's own routes, too", async () => {
    await start({ jwtSecret: 'a secret of more than 32 bytes, as it should be' });
    const tokens = served.app.get(FeedTokenService, { strict: false });
    const status = async (feeds: string) => {
      const peer = await Peer.get(served.port, '/own/guarded/1', `Authorization: Bearer ${await tokens.create({ feeds })}`);
      await peer.sees('\r\n\r\n');
      return Number(peer.head.slice(9, 12));
    };
    expect(await status('own/guarded/*')).toBe(200);
    expect(await status('own/guarded/2')).toBe(403);
  });

  it("a clean-up that throws is nobody else's affair", async () => {
    const source = () =>
      new Observable<string>(() => () => {
        throw new Error('clean-up');
      });
    await start({ source });
    const [one, other] = [await follow('/feeds/a'), await follow('/feeds/b')];
    served.feeds.end('a');
    await one.closed();
    expect(one.isComplete).toBe(true);
    await served.feeds.publish('b', 'still here');
    await other.sees('still here');
    other.leave();
    await until(() => served.feeds.counts().open === 0);
    expect(served.feeds.counts().closed).toMatchObject({ completed: 1, client: 1 });
  });

  it('a connection may begin without a feed, and follow, unfollow and follow again in one breath', async () => {
    await start();
    await served.feeds.publish('a', 'kept');
    const peer = await follow('/own/empty?format=ndjson');
    const connection = opened as Connection;
    const all = [connection.follow('a', 'earliest')];
    connection.unfollow('a');
    all.push(connection.follow('a', 'earliest'));
    void served.feeds.publish('a', 'live');
    await Promise.all(all);
    await served.feeds.publish('a', 'end');
    await peer.sees('"end"');
    expect([...peer.body.matchAll(/"data":"(\w+)"/g)].map((match) => match[1])).toEqual(['kept', 'live', 'end']);
  });

  it('a feed behind a request that is not answered yet waits for its turn, and is let go of where its client leaves before', async () => {
    let subscribed = 0;
    const source = () =>
      new Observable<string>((subscriber) => {
        subscribed += 1;
        subscriber.next('here');
      });
    for (const handover of [true, false]) {
      await start({ source, handover, drainMs: 500 });
      const pipelined = 'GET /own/slow HTTP/1.1\r\nHost: test\r\n\r\nGET /feeds/a HTTP/1.1\r\nHost: test\r\n\r\n';
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
      await until(() => served.feeds.open === 0);
      expect(served.feeds.counts()).toMatchObject({ opened: 1, closed: { client: 1 } });
      if (handover) await served.app.close();
    }
    expect(subscribed).toBe(2);
  });

  it('a token ends its connection when it expires and not before, also where others are connected', async () => {
    await start({ jwtSecret: 'x'.repeat(32), heartbeatMs: 0, stallMs: 0 });
    const tokens = served.app.get(FeedTokenService, { strict: false });
    const ended: FeedEvent[] = [];
    served.feeds.events$.subscribe((event) => event.type === 'closed' && ended.push(event));
    await follow('/feeds/a', `Authorization: Bearer ${await tokens.create({ feeds: '*' })}`);
    const token = await tokens.create({ feeds: '*', expiresIn: 2 });
    const { exp } = JSON.parse(Buffer.from(token.split('.')[1] as string, 'base64url').toString());
    for (let n = 0; n < 5; n += 1) await follow('/feeds/a', `Authorization: Bearer ${token}`);
    await until(() => ended.length === 5);
    for (const event of ended) {
      expect(event).toMatchObject({ reason: 'expired' });
      expect(event.time).toBeGreaterThanOrEqual(exp * 1000);
    }
  });

  it("the module's own feeds are not for clients, on whichever route", async () => {
    await start();
    const answer = await fetch(`${served.url}/own/named/$nodes`);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ code: 'FEED_ID' });
    expect(served.feeds.counts()).toMatchObject({ open: 0, feeds: 0 });
  });

  it('a target that is a whole URL names the same feed', async () => {
    await start();
    const peer = await Peer.to(served.port);
    peer.send('GET http://test/own/any/a HTTP/1.1\r\nHost: test\r\n\r\n');
    await until(() => served.feeds.open === 1);
    await served.feeds.publish('own/any/a', 'arrives');
    await peer.sees('arrives\n');
  });

  it('a socket that others stand in for has what it would have, and nothing of TLS', async () => {
    await start();
    const silent = await Peer.to(served.port);
    await new Promise((resolve) => setTimeout(resolve, 1100)); // after a second, whoever is silent gets a stand-in
    silent.send('GET /own/socket HTTP/1.1\r\nHost: test\r\n\r\n');
    await silent.sees('{"isTls":false,"hasCertificate":false}');
  });

  it('of the rules for a feed the most particular counts, in whichever order they are', async () => {
    await start({ rules: { '*': {}, '42': { replay: 'newest' }, 'a*': {}, 'a/*': { replay: 'newest' }, '4*': {} } });
    for (const [feed, latest] of [
      ['42', 'kept'],
      ['43', ''],
      ['a/b', 'kept'],
      ['ab', ''],
    ] as const) {
      await served.feeds.publish(feed, 'kept');
      const peer = await follow(`/feeds/${encodeURIComponent(feed)}`);
      await served.feeds.publish(feed, 'live');
      await peer.sees('live\n');
      expect(peer.body).toBe(latest ? 'kept\nlive\n' : 'live\n');
    }
  });

  it('a value that is longer as it is published than as it came, or is not what it says, is refused', async () => {
    await start({ publishKey: 'key' });
    const post = async (body: string, headers: Record<string, string>) =>
      (await fetch(`${served.url}/feeds/a`, { method: 'POST', body, headers: { authorization: 'Bearer key', ...headers } })).status;
    const grows = `[${'1e20,'.repeat(13_000)}1]`;
    expect(await post(grows, { 'content-type': 'application/json' })).toBe(413);
    expect(await post('x', { 'content-type': 'text/plain; charset=iso-8859-1' })).toBe(415);
    expect(await post('x', { 'content-type': 'text/plain; charset="UTF-8"' })).toBe(201);
    expect(await post('x', { 'content-type': 'text/plain', 'content-encoding': 'br' })).toBe(415);
    expect(await post('x', { 'content-type': 'text/plain', 'content-encoding': 'identity' })).toBe(201);
  });

  it('a handler whose parameters have defaults, and no types, gets its arguments', async () => {
    await start();
    const peer = await Peer.get(served.port, '/untyped/7?from=5');
    expect(await peer.closed()).toContain('7 from 5');
  });

  it('deep JSON is refused or taken, never an error of the server', async () => {
    await start({ publishKey: 'key' });
    const deep = `${'['.repeat(30_000)}${']'.repeat(30_000)}`;
    const headers = { authorization: 'Bearer key', 'content-type': 'application/json' };
    for (const [path, body] of [
      ['/feeds/a', deep],
      ['/feeds', `{"feeds":["a"],"data":${deep}}`],
    ] as const) {
      const { status } = await fetch(served.url + path, { method: 'POST', body, headers });
      expect([201, 400, 413]).toContain(status);
    }
  });
});
