import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Get, NotFoundException, Req, Res, UseGuards } from '@nestjs/common';
import { concat, NEVER, Observable, of } from 'rxjs';
import { type Connection, Feed, FeedAccessGuard, FeedModule, type FeedOptions, FeedService, FeedTokenService } from '../src/index.js';
import { Peer } from './peer.js';
import { platforms, type Served, serve, until } from './serve.js';

let opened: Connection | undefined;

@Controller('own')
class OwnController {
  constructor(private readonly feeds: FeedService) {}

  @Feed('guarded/:id')
  @UseGuards(FeedAccessGuard)
  guarded() {}

  @Get('empty')
  async empty(@Req() request: IncomingMessage, @Res() response: ServerResponse) {
    opened = await this.feeds.connect(request, response, { feeds: [] });
  }
}

const offsets = (peer: Peer) => [...peer.body.matchAll(/"id":"\w+-(\d+)\//g)].map((match) => Number(match[1]));

describe.each(platforms)('on %s', (platform) => {
  let served: Served;
  const start = async (options: FeedOptions = {}) => {
    served = await serve(platform, { imports: [FeedModule.forRoot({ intervalMs: 0, ...options })], controllers: [OwnController] });
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
    await start({ rules: { '*': { replay: 'latest' } } });
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
