import { Logger } from '@nestjs/common';
import { generateKeyPair, type JWTPayload, UnsecuredJWT } from 'jose';
import { bytes, jwtSecret, now, refused, sign, verifierOf } from '../../../test/support/tokens.js';
import { resolveFeedOptions } from '../feed.options.js';
import type { AuthOptions } from './auth.options.js';
import { TokenVerifier } from './token-verifier.js';

beforeAll(() => Logger.overrideLogger(false));

it('is not there without a key', () => {
  expect(TokenVerifier.of(resolveFeedOptions({ publishKey: 'key' }))).toBeUndefined();
});

describe('with a secret', () => {
  const verifier = verifierOf({ jwtSecret });

  it.each(['HS256', 'HS384', 'HS512'])('takes %s', async (alg) => {
    const grant = await verifier.verify(await sign({ sub: 'ada', exp: now() + 60 }, { alg }));
    expect(grant.mayRead('a')).toBe(true);
    expect(grant.mayRead('b')).toBe(false);
    expect(grant.bearer).toMatchObject({ subject: 'ada' });
  });

  it('tells when the token ends', async () => {
    const exp = now() + 60;
    expect((await verifier.verify(await sign({ exp }))).bearer.expiresAt).toBe(exp * 1000);
    expect((await verifier.verify(await sign())).bearer.expiresAt).toBeUndefined();
  });

  it('takes any claims beside its own', async () => {
    expect((await verifier.verify(await sign({ scope: 'x' }))).mayRead('a')).toBe(true);
  });

  it('takes what any of several has signed, and nothing else', async () => {
    const [old, fresh, other] = ['old', 'new', 'other'].map((name) => `${name} ${jwtSecret}`) as [string, string, string];
    const rotating = verifierOf({ jwtSecret: [fresh, old] });
    for (const secret of [old, fresh]) expect((await rotating.verify(await sign({}, { key: bytes(secret) }))).mayRead('a')).toBe(true);
    expect(await refused(rotating, await sign({}, { key: bytes(other) }))).toBe('The token is not valid.');
    for (const secret of [old, fresh])
      expect(await refused(rotating, await sign({ exp: now() - 10 }, { key: bytes(secret) }))).toBe('The token has expired.');
  });

  it.each<[string, () => string | Promise<string>, string?]>([
    ['a wrong signature', () => sign({}, { key: bytes('another secret, of thirty-two bytes') })],
    ['an expired token', () => sign({ exp: now() - 10 }), 'The token has expired.'],
    ['a token of the future', () => sign({ nbf: now() + 60 }), 'The token is not valid yet.'],
    ['an end that is no number', () => sign({ exp: '2100-01-01' as unknown as number }), 'The claim exp of the token is not accepted.'],
    ['alg none', async () => new UnsecuredJWT({ feeds: '*' }).encode()],
    ['a public-key signature', async () => sign({}, { alg: 'ES256', key: (await generateKeyPair('ES256')).privateKey })],
    ['garbage', async () => 'garbage'],
  ])('refuses %s', async (_, token, message = 'The token is not valid.') => {
    expect(await refused(verifier, await token())).toBe(message);
  });

  it('allows clocks that differ by less than 5 s', async () => {
    await expect(verifier.verify(await sign({ exp: now() - 2, nbf: now() + 2 }))).resolves.toBeDefined();
  });

  it.each<[AuthOptions, JWTPayload, string | undefined]>([
    [{ jwtIssuer: 'i' }, { iss: 'i' }, undefined],
    [{ jwtIssuer: 'i' }, { iss: 'another' }, 'iss'],
    [{ jwtAudience: 'a' }, { aud: ['b', 'a'] }, undefined],
    [{ jwtAudience: 'a' }, { aud: 'another' }, 'aud'],
    [{ jwtAudience: 'a' }, {}, 'aud'],
    [{}, { iss: 'anyone', aud: 'anything' }, undefined],
  ])('with %j, a token with %j: wrong is %s', async (options, claims, wrong) => {
    const strict = verifierOf({ jwtSecret, ...options });
    const token = await sign(claims);
    if (wrong) expect(await refused(strict, token)).toBe(`The claim ${wrong} of the token is not accepted.`);
    else await expect(strict.verify(token)).resolves.toBeDefined();
  });
});
