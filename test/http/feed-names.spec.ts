import { Controller, Get, Inject, Req, Res, UseGuards } from '@nestjs/common';
import { NEVER, of } from 'rxjs';
import { Feed, FeedAuthGuard, type FeedConnection, FeedService } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { asJson, closeAll, platforms, post, publishKey, type Served, serveFeeds, until } from '../support/serve.js';
import { jwtSecret, sign } from '../support/tokens.js';

let opened: FeedConnection | undefined;

@Controller('o')
class OrdersController {
  constructor(@Inject(FeedService) private readonly feeds: FeedService) {}

  @Feed(':id/Silent')
  silent() {}

  @Feed('space', { feed: () => 'a b' })
  space() {}

  @Feed('guarded/:text')
  @UseGuards(FeedAuthGuard)
  guarded() {
    return of('found');
  }

  @Feed('search/:text')
  search() {
    return of('found');
  }

  @Get('connected')
  async connected(@Req() request: never, @Res() response: never): Promise<void> {
    opened = await this.feeds.connect(request, response, { feeds: ['a'], source: () => NEVER });
  }

  @Get('connected/badly')
  async connectedBadly(@Req() request: never, @Res() response: never): Promise<void> {
    await this.feeds.connect(request, response, { feeds: ['a', 'a//b'] });
  }
}

describe.each(platforms)('the names of feeds on %s', (platform) => {
  let served: Served;

  beforeEach(async () => {
    served = await serveFeeds(platform, { publishKey }, { controllers: [OrdersController] }, (app) => app.setGlobalPrefix('Api'));
  });
  afterEach(closeAll);

  /** Asked without `fetch`, which removes the segments `.` and `..` from a path as browsers do. */
  const refusal = async (path: string) => {
    const peer = await Peer.get(served.port, `/Api${path}`, 'Connection: close');
    await peer.closed();
    return { status: peer.status, code: /"code":"(\w+)"/.exec(peer.text)?.[1] };
  };

  it('that begin with $ are not for a connection that is open', async () => {
    const peer = await Peer.get(served.port, '/Api/o/connected?format=ndjson');
    await peer.sees('\r\n\r\n');
    const connection = opened as FeedConnection;
    for (const name of ['$nodes', '$', 'a b', 'a/', '..']) {
      await expect(connection.follow(name)).rejects.toMatchObject({ code: 'FEED_ID' });
    }
    await expect(connection.follow('b', 'junk')).rejects.toMatchObject({ code: 'FEED_SINCE' });
    expect(connection.feeds).toEqual(['a']);
    expect(served.feeds.counts().feeds).toBe(1);
    await connection.follow('b');
    await served.feeds.publish('b', 'still open');
    await peer.sees('still open');
  });

  it('are in the case of the route, in whichever the request comes', async () => {
    const paths = platform === 'express' ? ['/Api/o/7x/Silent', '/API/O/7x/silent', '/api/o/7x/SILENT/'] : ['/Api/o/7x/Silent'];
    for (const path of paths) {
      const peer = await Peer.get(served.port, path);
      await until(() => served.feeds.subscribers('Api/o/7x/Silent') === 1);
      await served.feeds.publish('Api/o/7x/Silent', 'heard');
      await peer.sees('heard');
      peer.leave();
      await until(() => served.feeds.status.open === 0);
    }
    // A parameter is the client's own.
    const other = await Peer.get(served.port, '/Api/o/7X/Silent');
    await until(() => served.feeds.subscribers('Api/o/7X/Silent') === 1);
    other.leave();
  });

  it('are refused wherever they come from, where nothing can be published to them', async () => {
    for (const path of ['/o/space', '/o/connected/badly', '/o/a%20b/Silent', '/o/$x/Silent', '/o/%2E%2E/Silent']) {
      expect([path, await refusal(path)]).toEqual([path, { status: 400, code: 'FEED_ID' }]);
    }
    expect(served.feeds.counts()).toMatchObject({ opened: 0, feeds: 0 });
  });

  it('are not needed by a source: its path may be anything', async () => {
    expect(await (await fetch(`${served.url}/Api/o/search/two%20words`)).text()).toBe('found\n');
  });

  it('may be published to where no route can follow them', async () => {
    await expect(served.feeds.publish('no/route/follows/this/one', 1)).resolves.toMatchObject({ data: 1 });
  });

  it.each(['.', '..', 'a/..', './a', 'a/../b', 'a/./b'])('have no segments that proxies remove: %s', async (id) => {
    const refused = { status: 400, code: 'FEED_ID' };
    expect(await refusal(`/feeds?id=${id}`)).toEqual(refused);
    expect(await refusal(`/feeds/${id.replaceAll('/', '%2F')}`)).toEqual(refused);
    const many = { feeds: [id], data: 1 };
    expect((await post(`${served.url}/Api/feeds`, JSON.stringify(many), asJson)).status).toBe(400);
    await expect(served.feeds.publish(id, 1)).rejects.toMatchObject({ code: 'FEED_ID' });
    expect(() => served.feeds.messages(id)).toThrow();
    for (const similar of ['.a', 'a.', '...', 'a/.b', '..a/b', 'a/b..']) await served.feeds.publish(similar, 1);
  });
});

it.each(platforms)('a token does not open a path that is not a name, on %s', async (platform) => {
  const { url } = await serveFeeds(platform, { jwtSecret }, { controllers: [OrdersController] });
  const ask = async (feeds: string) =>
    (await fetch(`${url}/o/guarded/two%20words`, { headers: { authorization: `Bearer ${await sign({ feeds })}` } })).status;
  expect(await ask('o/other/*')).toBe(403);
  expect(await ask('o/guarded/*')).toBe(200);
  await closeAll();
});
