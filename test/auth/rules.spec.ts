import { Controller, Get, UseGuards } from '@nestjs/common';
import { HealthModule } from '../../src/health/index.js';
import { Feed, FeedAuthGuard, FeedTokenService } from '../../src/index.js';
import { closeAll, type ModuleOptions, platforms, publishKey, type Served, serveFeeds } from '../support/serve.js';
import { jwtSecret } from '../support/tokens.js';

@Controller('own')
class OwnController {
  @Feed('guarded/:id', { feed: ({ params }) => `${params.id}/1` })
  @UseGuards(FeedAuthGuard)
  guarded() {}

  @Get('plain')
  @UseGuards(FeedAuthGuard)
  plain() {
    return 'plain';
  }
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

describe.each(platforms)('rules that say who reads, on %s', (platform) => {
  let served: Served;
  let token: string;
  const start = async (options: ModuleOptions) => {
    const metadata = { controllers: [OwnController], imports: [HealthModule] };
    served = await serveFeeds(platform, { jwtSecret, publishKey, ...options }, metadata);
    token = await served.app.get(FeedTokenService, { strict: false }).create({ feeds: ['closed/*', 'mine/*'] });
  };
  const ask = async (path: string, headers: Record<string, string> = {}, method = 'GET') => {
    const answer = await fetch(served.url + path, { headers, method });
    if (answer.status === 200) await answer.body?.cancel();
    return answer;
  };
  const status = async (...args: Parameters<typeof ask>) => (await ask(...args)).status;
  afterEach(closeAll);

  it('open feeds of a module with tokens to all', async () => {
    await start({ rules: { 'open/*': { read: 'public' }, 'open/not/*': {} } });
    for (const path of ['/feeds/open/1', '/feeds?id=open/1&id=open/2', '/own/guarded/open']) {
      for (const headers of [{}, bearer(token), bearer('expired or wrong')])
        expect([path, await status(path, headers)]).toEqual([path, 200]);
      expect([path, await status(path, {}, 'HEAD')]).toEqual([path, 200]);
    }
    for (const path of ['/feeds/mine/1', '/feeds?id=open/1&id=mine/1', '/own/guarded/mine']) {
      const rejected = await ask(path);
      expect([path, rejected.status, rejected.headers.get('www-authenticate')]).toEqual([path, 401, 'Bearer realm="feeds"']);
      expect([path, await status(path, bearer('wrong'))]).toEqual([path, 401]);
      for (const valid of [token, publishKey]) expect([path, await status(path, bearer(valid))]).toEqual([path, 200]);
    }
    for (const path of ['/feeds/open/not/1', '/feeds/other/1', '/own/guarded/other']) {
      expect([path, await status(path)]).toEqual([path, 401]);
      expect([path, await status(path, bearer(token))]).toEqual([path, 403]);
    }
    // A route that is no feed's is as it was, and so is publishing.
    expect([await status('/own/plain'), await status('/own/plain', bearer(token))]).toEqual([401, 200]);
    expect(await status('/feeds/open/1', {}, 'POST')).toBe(401);
    expect([await status('/health/connections?id=open/1'), await status('/health/connections?id=mine/1')]).toEqual([200, 401]);
    expect(served.feeds.counts().open).toBeLessThan(50);
  });

  it('close feeds of a public module to all without a token for them', async () => {
    await start({ public: true, rules: { 'closed/*': { read: 'token' }, 'secret/*': { read: 'token' } } });
    for (const headers of [{}, bearer(token), bearer('wrong')]) expect(await status('/feeds/other/1', headers)).toBe(200);
    for (const path of ['/feeds/closed/1', '/feeds?id=other&id=closed/1', '/own/guarded/closed', '/health/connections?id=closed/1']) {
      const rejected = await ask(path);
      expect([path, rejected.status, rejected.headers.get('www-authenticate')]).toEqual([path, 401, 'Bearer realm="feeds"']);
      expect([path, await status(path, bearer(token))]).toEqual([path, 200]);
    }
    expect(await status('/feeds/secret/1', bearer(token))).toBe(403);
    expect(await status('/feeds/secret/1', bearer(publishKey))).toBe(200);
    expect(await status('/own/plain')).toBe(200);
  });

  it('count for the subject of a token where there is one', async () => {
    await start({ public: true, rules: { 'closed/*': { read: 'token' } }, maxConnectionsPerClient: 1 });
    const subject = await served.app.get(FeedTokenService, { strict: false }).create({ feeds: '*', subject: 'ann' });
    const first = await fetch(`${served.url}/feeds/closed/1`, { headers: bearer(subject) });
    expect(first.status).toBe(200);
    expect(await status('/feeds/closed/2', bearer(subject))).toBe(429);
    expect(await status('/feeds/other')).toBe(200);
    await first.body?.cancel();
  });
});
