import { jwtVerify } from 'jose';
import { jwtSecret } from '../../../test/support/tokens.js';
import { FeedOptionsError } from '../errors/feed-options.error.js';
import { resolveFeedOptions } from '../feed.options.js';
import type { AuthOptions } from './auth.options.js';
import { type FeedTokenRequest, FeedTokenService } from './feed-token.service.js';
import { TokenVerifier } from './token-verifier.js';

const service = (options: AuthOptions = { jwtSecret }) => new FeedTokenService(resolveFeedOptions(options));

describe('FeedTokenService', () => {
  it('signs what it is told, with HS256', async () => {
    const options = { jwtSecret, jwtIssuer: 'issuer', jwtAudience: 'audience' };
    const token = await service(options).create({ feeds: 'orders/*', publish: ['a', 'b'], expiresIn: 60, subject: 'ada' });
    const { payload, protectedHeader } = await jwtVerify(token, Buffer.from(jwtSecret));
    expect(protectedHeader).toEqual({ alg: 'HS256', typ: 'JWT' });
    expect(payload).toEqual({
      feeds: ['orders/*'],
      publish: ['a', 'b'],
      iss: 'issuer',
      aud: 'audience',
      sub: 'ada',
      iat: expect.any(Number),
      exp: (payload.iat as number) + 60,
      jti: expect.stringMatching(/^[\da-f-]{36}$/),
    });
    const grant = await TokenVerifier.of(resolveFeedOptions(options))?.verify(token);
    expect([grant?.mayRead('orders/1'), grant?.mayPublish('a'), grant?.mayPublish('orders/1')]).toEqual([true, true, false]);
  });

  it('is valid for two hours, and has no claim that was not requested', async () => {
    const { payload } = await jwtVerify(await service().create({ feeds: [] }), Buffer.from(jwtSecret));
    expect((payload.exp as number) - (payload.iat as number)).toBe(7200);
    expect(Object.keys(payload).sort()).toEqual(['exp', 'feeds', 'iat', 'jti', 'publish']);
  });

  it('may be for operators', async () => {
    const { payload } = await jwtVerify(await service().create({ feeds: [], admin: true }), Buffer.from(jwtSecret));
    expect(payload.admin).toBe(true);
    expect((await jwtVerify(await service().create({ feeds: [], admin: false }), Buffer.from(jwtSecret))).payload).not.toHaveProperty(
      'admin',
    );
  });

  it.each<[Partial<Record<keyof FeedTokenRequest, unknown>>, string, RegExp]>([
    [{}, 'feeds', /feeds takes patterns: an id, .* not undefined/],
    [{ feeds: '' }, 'feeds', /not ""/],
    [{ feeds: ['a', 1] }, 'feeds', /not 1/],
    [{ feeds: '*/1' }, 'feeds', /with a \* at its end.*not "\*\/1"/],
    [{ feeds: 'a**' }, 'feeds', /not "a\*\*"/],
    [{ feeds: 'a b' }, 'feeds', /without white space, not "a b"/],
    [{ feeds: 'a\0' }, 'feeds', /not "a/],
    [{ feeds: 'a', publish: [null] }, 'publish', /publish takes patterns.*not null/],
    [{ feeds: 'a', expiresIn: 0 }, 'expiresIn', /1 or more seconds, not 0/],
    [{ feeds: 'a', expiresIn: 1.5 }, 'expiresIn', /whole number of seconds/],
    [{ feeds: 'a', expiresIn: Number.POSITIVE_INFINITY }, 'expiresIn', /not Infinity/],
    [{ feeds: 'a', expiresIn: '2h' }, 'expiresIn', /not "2h"/],
    [{ feeds: 'a', subject: '' }, 'subject', /not ""/],
    [{ feeds: 'a', admin: 'yes' }, 'admin', /must be true or false/],
  ])('refuses %j', async (request, option, message) => {
    const created = service().create(request as unknown as FeedTokenRequest);
    await expect(created).rejects.toThrow(message);
    await expect(created).rejects.toBeInstanceOf(FeedOptionsError);
    await expect(created).rejects.toMatchObject({ code: 'FEED_OPTIONS', option });
  });

  it.each<AuthOptions>([{}, { jwksUrl: 'https://id.example/' }])('needs a secret, which %j is not', async (options) => {
    await expect(service(options).create({ feeds: 'a' })).rejects.toMatchObject({ code: 'FEED_OPTIONS', option: 'jwtSecret' });
  });
});
