import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Controller, Get, type INestApplication, Param, Post, Req, UseGuards } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { adapterOf, platforms } from '../../../test/support/serve.js';
import { FeedRequest } from '../http/feed-request.js';
import { AUTH_OPTIONS, type AuthOptions, resolveAuthOptions } from './auth.options.js';
import { FeedAuthGuard } from './feed-auth.guard.js';
import { type FeedTokenRequest, FeedTokenService } from './feed-token.service.js';
import { checkMayPublish, checkMayRead } from './grant.js';

@Controller()
@UseGuards(FeedAuthGuard)
class GuardedController {
  @Get('feeds/:id')
  read(@Param('id') id: string, @Req() request: IncomingMessage) {
    const asked = FeedRequest.of(request);
    checkMayRead(asked, [id]);
    return { granted: asked.grant !== undefined, subject: asked.grant?.subject, expiresAt: asked.grant?.expiresAt };
  }

  @Post('feeds/:id')
  publish(@Param('id') id: string, @Req() request: IncomingMessage) {
    checkMayPublish(FeedRequest.of(request), [id]);
    return {};
  }
}

const jwtSecret = 'a secret of thirty-two bytes, no less';
const publishKey = 'the-publish-key';
const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });
const cookie = (token: string) => ({ Cookie: `a=1; feed_token=${token}` });

describe.each(platforms)('FeedAuthGuard on %s', (platform) => {
  const apps: INestApplication[] = [];

  async function serve(options: AuthOptions) {
    class Root {}
    const providers = [{ provide: AUTH_OPTIONS, useValue: resolveAuthOptions(options) }, FeedTokenService];
    const root = { module: Root, controllers: [GuardedController], providers };
    const app = await NestFactory.create(root, adapterOf(platform), { logger: false });
    await app.listen(0, '127.0.0.1');
    apps.push(app);
    const url = `http://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}`;
    return {
      token: (request: FeedTokenRequest) => app.get(FeedTokenService).create(request),
      get: (target: string, headers = {}, method = 'GET') => fetch(url + target, { method, headers }),
      post: (target: string, headers = {}) => fetch(url + target, { method: 'POST', headers }),
    };
  }
  afterEach(async () => {
    for (const app of apps.splice(0)) await app.close();
  });

  async function expectUnauthorized(answer: Response, message: string, challenge: string) {
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toBe(challenge);
    expect(await answer.json()).toEqual({ statusCode: 401, error: 'Unauthorized', code: 'FEED_UNAUTHORIZED', message });
  }
  const missing = 'Bearer realm="feeds"';
  const invalid = 'Bearer realm="feeds", error="invalid_token"';
  const publishing = 'Publishing needs the publish key or a token.';
  const reading = 'Reading needs the publish key or a token.';

  it('lets no request pass with no option set', async () => {
    const { get, post } = await serve({});
    await expectUnauthorized(await get('/feeds/1'), reading, missing);
    await expectUnauthorized(await post('/feeds/1', bearer('undefined')), publishing, invalid);
  });

  it('lets any client read where reading is public, and none publish', async () => {
    const { get, post } = await serve({ public: true });
    const answer = await get('/feeds/1', bearer('whatever'));
    expect([answer.status, await answer.json()]).toEqual([200, { granted: false }]);
    await expectUnauthorized(await post('/feeds/1'), publishing, missing);
    await expectUnauthorized(await post('/feeds/1', bearer('undefined')), publishing, invalid);
  });

  it('takes the publish key, in the header', async () => {
    const { get, post } = await serve({ publishKey });
    await expectUnauthorized(await get('/feeds/1'), reading, missing);
    expect((await get('/feeds/1', bearer(publishKey))).status).toBe(200);
    expect((await post('/feeds/1', bearer(publishKey))).status).toBe(201);
    await expectUnauthorized(await post('/feeds/1'), publishing, missing);
    for (const wrong of [bearer(`${publishKey}x`), bearer(publishKey.slice(1)), bearer('x'), cookie(publishKey)]) {
      await expectUnauthorized(await post('/feeds/1', wrong), publishing, invalid);
    }
    await expectUnauthorized(await post(`/feeds/1?token=${publishKey}`), publishing, invalid);
    const basic = { Authorization: `Basic ${Buffer.from(`user:${publishKey}`).toString('base64')}` };
    await expectUnauthorized(await post('/feeds/1', basic), publishing, missing);
  });

  it('takes a token for what it grants', async () => {
    const { token, get, post } = await serve({ jwtSecret });
    const before = Math.floor(Date.now() / 1000) * 1000;
    const good = await token({ feeds: ['a', 'b*'], publish: 'c', subject: 'ada', expiresIn: 60 });
    const answer = await get('/feeds/a', bearer(good));
    expect(answer.status).toBe(200);
    const { subject, expiresAt } = (await answer.json()) as { subject: string; expiresAt: number };
    expect(subject).toBe('ada');
    expect(expiresAt).toBeGreaterThanOrEqual(before + 60_000);
    expect(expiresAt).toBeLessThanOrEqual(Date.now() + 60_000);
    expect((await get('/feeds/b1', bearer(good), 'HEAD')).status).toBe(200);
    expect((await post('/feeds/c', bearer(good))).status).toBe(201);

    for (const refusal of [await get('/feeds/c', bearer(good)), await get('/feeds/none', bearer(good))]) {
      expect([refusal.status, await refusal.json()]).toEqual([
        403,
        { statusCode: 403, error: 'Forbidden', code: 'FEED_FORBIDDEN', message: 'The token does not grant reading this feed.' },
      ]);
    }
    expect((await post('/feeds/a', bearer(good))).status).toBe(403);
  });

  it('takes the token from the header, the cookie or the query', async () => {
    const { token, get, post } = await serve({ jwtSecret });
    const good = await token({ feeds: '*', publish: '*' });
    for (const headers of [bearer(good), cookie(good)]) {
      expect((await get('/feeds/1', headers)).status).toBe(200);
      expect((await post('/feeds/1', headers)).status).toBe(201);
    }
    expect((await get(`/feeds/1?a=b&token=${good}`)).status).toBe(200);
    expect((await post(`/feeds/1?token=${good}`)).status).toBe(201);
    await expectUnauthorized(await get(`/feeds/1?token=${good}`, bearer('wrong')), 'The token is not valid.', invalid);
  });

  it('takes the token from the cookie that was named', async () => {
    const { token, get } = await serve({ jwtSecret, tokenCookie: '__Host-t' });
    const good = await token({ feeds: '*' });
    expect((await get('/feeds/1', { Cookie: `__Host-t=${good}` })).status).toBe(200);
    expect((await get('/feeds/1', cookie(good))).status).toBe(401);
  });

  it('answers 401 without a token that holds', async () => {
    const { token, get, post } = await serve({ jwtSecret });
    await expectUnauthorized(await get('/feeds/1'), reading, missing);
    await expectUnauthorized(await get('/feeds/1', bearer('')), reading, missing);
    await expectUnauthorized(await get('/feeds/1?token='), reading, missing);
    await expectUnauthorized(await post('/feeds/1'), publishing, missing);
    const changed = `${await token({ feeds: '*', publish: '*' })}x`;
    await expectUnauthorized(await get('/feeds/1', bearer(changed)), 'The token is not valid.', invalid);
    await expectUnauthorized(await post('/feeds/1', bearer(changed)), 'The token is not valid.', invalid);
    await expectUnauthorized(await get(`/feeds/1?token=${changed}`), 'The token is not valid.', invalid);
    const head = await get('/feeds/1', {}, 'HEAD');
    expect([head.status, head.headers.get('www-authenticate')]).toEqual([401, missing]);
  });

  it('takes the publish key beside tokens, for reading too', async () => {
    const { token, get, post } = await serve({ publishKey, jwtSecret });
    expect((await get('/feeds/1', bearer(publishKey))).status).toBe(200);
    expect((await post('/feeds/1', bearer(publishKey))).status).toBe(201);
    expect((await get(`/feeds/1?token=${publishKey}`)).status).toBe(401);
    expect((await post('/feeds/1', bearer(await token({ feeds: [], publish: '1' })))).status).toBe(201);
  });

  it('refuses to publish for the page of another site', async () => {
    const { token, get, post } = await serve({ jwtSecret });
    const good = await token({ feeds: '*', publish: '*' });
    const forged = await post('/feeds/1', { ...cookie(good), Origin: 'https://evil.example' });
    expect(forged.status).toBe(403);
    expect(await forged.json()).toMatchObject({ code: 'FEED_FORBIDDEN', message: expect.stringContaining('another site') });
    const other = { Origin: 'https://evil.example' };
    expect((await post('/feeds/1', { ...bearer(good), ...other })).status).toBe(201);
    expect((await post(`/feeds/1?token=${good}`, other)).status).toBe(201);
    expect((await get('/feeds/1', { ...cookie(good), ...other })).status).toBe(200);
  });

  it('answers 503 while the keys for tokens cannot be had', async () => {
    const { get } = await serve({ jwksUrl: 'http://127.0.0.1:1/jwks.json' });
    // a header of the right kind, so that the keys are asked for
    const header = Buffer.from('{"alg":"RS256","kid":"1"}').toString('base64url');
    const answer = await get('/feeds/1', bearer(`${header}.e30.AAAA`));
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5']);
    expect(await answer.json()).toMatchObject({ code: 'FEED_UNAVAILABLE', retryAfter: 5 });
    await expectUnauthorized(await get('/feeds/1', bearer('garbage')), 'The token is not valid.', invalid);
  });
});
