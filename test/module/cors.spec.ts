import { Controller, type INestApplication, UseGuards } from '@nestjs/common';
import { of } from 'rxjs';
import { Feed, FeedAuthGuard } from '../../src/index.js';
import { closeAll, platforms, publishKey, type Served, serveFeeds } from '../support/serve.js';
import { jwtSecret, sign } from '../support/tokens.js';

@Controller('own')
class OwnController {
  @Feed('guarded/:id')
  @UseGuards(FeedAuthGuard)
  guarded() {}

  @Feed('source')
  source() {
    return of('x');
  }

  @Feed('broken')
  broken() {
    throw new Error('it fails');
  }
}

const origin = 'https://app.example';
const exposed = 'Feed-Position,Feed-History,Retry-After';

describe.each(platforms)("the application's enableCors() on %s", (platform) => {
  afterEach(closeAll);

  const options = { jwtSecret, publishKey, drainMs: 0, rules: { full: { maxSubscribers: 1 } } };
  const enable = (app: INestApplication) => app.enableCors({ origin: [origin], credentials: true, exposedHeaders: exposed.split(',') });

  async function ask({ url }: Served, path: string, headers: Record<string, string> = {}, init: RequestInit = {}) {
    const answer = await fetch(url + path, { ...init, headers: { origin, ...headers } });
    await answer.body?.cancel();
    const [from, credentials, expose] = ['allow-origin', 'allow-credentials', 'expose-headers'].map((name) =>
      answer.headers.get(`access-control-${name}`),
    );
    return { status: answer.status, cors: [from, credentials, expose?.replaceAll(' ', '')], position: answer.headers.get('feed-position') };
  }

  it.each([true, false])('holds for every answer of the module, where sockets are handed over: %s', async (handover) => {
    const served = await serveFeeds(platform, { ...options, handover }, { controllers: [OwnController] }, enable);
    const authorization = `Bearer ${await sign({ feeds: ['a', 'over', 'full', 'own/*'], publish: 'a' })}`;
    const text = { authorization, 'content-type': 'text/plain' };
    await served.feeds.publish('over', 1);
    const { id: end = '' } = await served.feeds.finish('over');
    const held = await fetch(`${served.url}/feeds/full`, { headers: { authorization } });
    const cases: [number, string, Record<string, string>, RequestInit?][] = [
      [200, '/feeds/a', { authorization }],
      [200, '/feeds/a', { authorization, accept: 'text/event-stream' }],
      [200, '/feeds?id=a', { authorization }, { method: 'HEAD' }],
      [204, '/feeds/over', { authorization, 'last-event-id': end }],
      [200, '/feeds/a?mode=once', { authorization }],
      [304, '/feeds/a?mode=once', { authorization, 'if-none-match': '*' }],
      [200, '/feeds/a?mode=poll&wait=1', { authorization }],
      [401, '/feeds/a', {}],
      [401, '/feeds/a?mode=once', {}],
      [403, '/feeds/b', { authorization }],
      [400, '/feeds/%20', { authorization }],
      [406, '/feeds/a', { authorization, accept: 'image/png' }],
      [503, '/feeds/full', { authorization }],
      [404, '/nowhere', {}],
      [201, '/feeds/a', text, { method: 'POST', body: 'x' }],
      [403, '/feeds/b', text, { method: 'POST', body: 'x' }],
      [401, '/feeds/a', { 'content-type': 'text/plain' }, { method: 'POST', body: 'x' }],
      [415, '/feeds/a', { authorization, 'content-type': 'image/png' }, { method: 'POST', body: 'x' }],
      [204, '/feeds/a', { authorization }, { method: 'DELETE' }],
      [200, '/own/guarded/1', { authorization }],
      [401, '/own/guarded/1', {}],
      [200, '/own/source', {}],
      [500, '/own/broken', {}],
    ];
    for (const [status, path, headers, init] of cases) {
      const answer = await ask(served, path, headers, init);
      expect([init?.method ?? 'GET', path, answer.status, answer.cors]).toEqual([
        init?.method ?? 'GET',
        path,
        status,
        [origin, 'true', exposed],
      ]);
    }
    expect((await ask(served, '/feeds/a', { authorization })).position).toMatch(/./);
    expect((await ask(served, '/feeds/a', { origin: 'https://evil.example', authorization })).cors[0]).toBeNull();
    expect(served.feeds.counts().handedOver > 0).toBe(handover);
    await held.body?.cancel();
  });
});
