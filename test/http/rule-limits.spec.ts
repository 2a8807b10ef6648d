import { Controller, Get, Req, Res } from '@nestjs/common';
import type { AnyRequest, AnyResponse } from '../../src/feed/http/adapter.js';
import { Feed, type FeedConnection, FeedService } from '../../src/index.js';
import { asJson, closeAll, follow, platforms, post, publishKey, type Served, serveFeeds, until } from '../support/serve.js';

describe.each(platforms)('the limits of rules on %s', (platform) => {
  let served: Served;
  let letGo: (() => void) | undefined;
  let connection: FeedConnection | undefined;

  @Controller('own')
  class OwnController {
    constructor(private readonly feeds: FeedService) {}

    @Get()
    async connect(@Req() request: AnyRequest, @Res() response: AnyResponse) {
      connection = await this.feeds.connect(request, response, { feeds: [] });
    }
  }

  @Controller('slow')
  class SlowController {
    @Feed(':id', { feed: ({ params }) => `few/${params.id}` })
    async handle() {
      await new Promise<void>((resolve) => {
        letGo = resolve;
      });
    }
  }

  beforeEach(async () => {
    const rules = { 'few/*': { maxSubscribers: 2 }, 'rare/*': { publishPerSecond: 1 }, 'often/*': { publishPerSecond: 1000 } };
    served = await serveFeeds(platform, { publishKey, public: true, rules }, { controllers: [SlowController, OwnController] });
  });
  afterEach(closeAll);

  const bodyOf = async (response: Response) => (await response.json()) as Record<string, unknown>;

  it('reject one subscriber more than a feed may have, with 503 and Retry-After, and count that', async () => {
    const [first] = [await follow(served, '/feeds/few/a'), await follow(served, '/feeds?id=few/a&id=few/b')];
    for (const path of ['/feeds/few/a', '/feeds?id=other&id=few/a', '/feeds/few/a?mode=poll']) {
      const answer = await fetch(served.url + path);
      expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5']);
      expect(await bodyOf(answer)).toMatchObject({
        code: 'FEED_UNAVAILABLE',
        message: 'The feed "few/a" has 2 subscribers, as many as it may have.',
      });
    }
    expect(served.feeds.counts()).toMatchObject({ open: 2, rejected: 3, rejectedBy: { feed: 3, limit: 0 } });
    expect(served.feeds.subscribers('other')).toBe(0);
    await follow(served, '/feeds/few/b');
    first.leave();
    await until(() => served.feeds.subscribers('few/a') === 1);
    await follow(served, '/feeds/few/a');
    expect(served.feeds.subscribers('few/a')).toBe(2);
  });

  it('hold where others come while a handler is called', async () => {
    const slow = fetch(`${served.url}/slow/a`);
    await until(() => letGo !== undefined);
    await follow(served, '/feeds/few/a');
    await follow(served, '/feeds/few/a');
    letGo?.();
    expect((await slow).status).toBe(503);
    expect(served.feeds.counts()).toMatchObject({ open: 2, rejectedBy: { feed: 1 } });
  });

  it('reject more messages a second than a feed takes, with 429 and Retry-After, over HTTP and from the application', async () => {
    const publish = (path: string, body: string, headers: Record<string, string> = {}) => post(`${served.url}/feeds${path}`, body, headers);
    expect((await publish('/rare/a', '1')).status).toBe(201);
    const rejected = await publish('/rare/a', '2');
    expect([rejected.status, rejected.headers.get('retry-after')]).toEqual([429, '1']);
    expect(await bodyOf(rejected)).toEqual({
      statusCode: 429,
      error: 'Too Many Requests',
      code: 'FEED_TOO_MANY',
      message: 'The feed "rare/a" takes 1 messages a second.',
      retryAfter: 1,
    });
    await expect(served.feeds.publish('rare/a', '2')).rejects.toMatchObject({ code: 'FEED_TOO_MANY' });
    // Another feed has a limit of its own; what goes to several goes to all or none.
    await expect(served.feeds.publishMany(['rare/b', 'plain', 'rare/a'], '2')).rejects.toMatchObject({ code: 'FEED_TOO_MANY' });
    expect((await publish('/rare/b', '1')).status).toBe(201);
    const several = await publish('', JSON.stringify({ messages: ['rare/a', 'often/a'].map((feed) => ({ feed, data: 1 })) }), asJson);
    expect(several.status).toBe(207);
    expect(await bodyOf(several)).toMatchObject({ messages: [{ code: 'FEED_TOO_MANY', retryAfter: 1 }, { feed: 'often/a' }] });
    for (let n = 0; n < 100; n += 1) await served.feeds.publish('often/a', n);
    // A feed ends, and begins anew, all the same.
    await served.feeds.finish('rare/a');
    await served.feeds.clear('rare/a');
    await until(() =>
      served.feeds.publish('rare/a', '3').then(
        () => true,
        () => false,
      ),
    );
  });

  it('hold for a connection that comes to follow a feed', async () => {
    await follow(served, '/feeds/few/a');
    await follow(served, '/feeds/few/a');
    const own = fetch(`${served.url}/own`);
    await until(() => connection !== undefined);
    await expect(connection?.follow('few/a')).rejects.toMatchObject({ code: 'FEED_UNAVAILABLE' });
    await connection?.follow('few/b');
    expect(connection?.feeds).toEqual(['few/b']);
    connection?.end();
    expect((await own).status).toBe(200);
  });
});
