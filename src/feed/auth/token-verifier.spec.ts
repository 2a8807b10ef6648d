import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Logger } from '@nestjs/common';
import {
  type CryptoKey,
  EncryptJWT,
  exportJWK,
  exportSPKI,
  type GenerateKeyPairResult,
  generateKeyPair,
  type JWK,
  type JWTPayload,
  SignJWT,
  UnsecuredJWT,
} from 'jose';
import { FeedException } from '../errors/feed-exception.js';
import type { AuthOptions } from './auth.options.js';
import { TokenVerifier } from './token-verifier.js';

const jwtSecret = 'a secret of thirty-two bytes, no less';
const bytes = (secret: string) => new TextEncoder().encode(secret);
const now = () => Math.floor(Date.now() / 1000);

function sign(claims: JWTPayload = {}, { key = bytes(jwtSecret) as CryptoKey | Uint8Array, ...header }: SignOptions = {}) {
  return new SignJWT({ feeds: 'a', ...claims }).setProtectedHeader({ alg: 'HS256', ...header }).sign(key);
}
interface SignOptions {
  key?: CryptoKey | Uint8Array;
  alg?: string;
  kid?: string;
  crit?: string[];
}

function verifierOf(options: AuthOptions): TokenVerifier {
  const verifier = TokenVerifier.of(options);
  if (!verifier) throw new Error('no key');
  return verifier;
}

/** That the token is refused with 401, and in which words. */
async function refused(verifier: TokenVerifier, token: string): Promise<string> {
  const error = await verifier.verify(token).then(
    () => new Error('the token was taken'),
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(FeedException);
  expect(error).toMatchObject({ code: 'FEED_UNAUTHORIZED', challenge: 'Bearer realm="feeds", error="invalid_token"' });
  return error.message;
}

beforeAll(() => Logger.overrideLogger(false));

it('is not there without a key', () => {
  expect(TokenVerifier.of({ publishKey: 'key' })).toBeUndefined();
});

describe('with a secret', () => {
  const verifier = verifierOf({ jwtSecret });

  it.each(['HS256', 'HS384', 'HS512'])('takes %s', async (alg) => {
    const grant = await verifier.verify(await sign({ sub: 'ada', exp: now() + 60 }, { alg }));
    expect(grant.mayRead('a')).toBe(true);
    expect(grant.mayRead('b')).toBe(false);
    expect(grant).toMatchObject({ subject: 'ada' });
  });

  it('tells when the token ends', async () => {
    const exp = now() + 60;
    expect((await verifier.verify(await sign({ exp }))).expiresAt).toBe(exp * 1000);
    expect((await verifier.verify(await sign())).expiresAt).toBeUndefined();
  });

  it('takes a short secret, and any claims beside its own', async () => {
    const short = verifierOf({ jwtSecret: 's' });
    expect((await short.verify(await sign({ scope: 'x' }, { key: bytes('s') }))).mayRead('a')).toBe(true);
  });

  it.each<[string, () => string | Promise<string>, string?]>([
    ['a wrong signature', () => sign({}, { key: bytes('another secret, of thirty-two bytes') })],
    ['a changed payload', async () => swapPayload(await sign(), { feeds: '*' })],
    ['a cut signature', async () => (await sign()).replace(/[^.]*$/, '')],
    ['an expired token', () => sign({ exp: now() - 10 }), 'The token has expired.'],
    ['a token of the future', () => sign({ nbf: now() + 60 }), 'The token is not valid yet.'],
    ['an end that is no number', () => sign({ exp: '2100-01-01' as unknown as number }), 'The claim exp of the token is not accepted.'],
    ['alg none', async () => new UnsecuredJWT({ feeds: '*' }).encode()],
    ['alg none with a signature', async () => swapHeader(await sign(), { alg: 'none' })],
    ['alg nOnE', async () => swapHeader(await sign(), { alg: 'nOnE' })],
    ['no alg', async () => swapHeader(await sign(), {})],
    ['an alg named like a property of objects', async () => swapHeader(await sign(), { alg: 'constructor' })],
    ['a critical header that nobody knows', async () => swapHeader(await sign(), { alg: 'HS256', crit: ['x'], x: 1 })],
    ['a public-key signature', async () => sign({}, { alg: 'ES256', key: (await generateKeyPair('ES256')).privateKey })],
    [
      'an encrypted token',
      () => new EncryptJWT({ feeds: '*' }).setProtectedHeader({ alg: 'dir', enc: 'A128CBC-HS256' }).encrypt(bytes(jwtSecret).slice(0, 32)),
    ],
    ['claims that are no object', async () => swapPayload(await sign(), ['*'])],
    ['garbage', async () => 'garbage'],
    ['dots', async () => '..'],
    ['nothing', async () => ''],
    ['bytes beyond ASCII', async () => (await sign()).replace('.', '.\u00ff')],
  ])('refuses %s', async (_, token, message = 'The token is not valid.') => {
    expect(await refused(verifier, await token())).toBe(message);
  });

  it('allows clocks that differ by less than 5 s', async () => {
    await expect(verifier.verify(await sign({ exp: now() - 2, nbf: now() + 2 }))).resolves.toBeDefined();
  });

  it.each<[AuthOptions, JWTPayload, string | undefined]>([
    [{ jwtIssuer: 'i' }, { iss: 'i' }, undefined],
    [{ jwtIssuer: 'i' }, { iss: 'another' }, 'iss'],
    [{ jwtIssuer: 'i' }, {}, 'iss'],
    [{ jwtAudience: 'a' }, { aud: 'a' }, undefined],
    [{ jwtAudience: 'a' }, { aud: ['b', 'a'] }, undefined],
    [{ jwtAudience: 'a' }, { aud: 'another' }, 'aud'],
    [{ jwtAudience: 'a' }, { aud: ['b'] }, 'aud'],
    [{ jwtAudience: 'a' }, {}, 'aud'],
    [{}, { iss: 'anyone', aud: 'anything' }, undefined],
  ])('with %j, a token with %j: wrong is %s', async (options, claims, wrong) => {
    const strict = verifierOf({ jwtSecret, ...options });
    const token = await sign(claims);
    if (wrong) expect(await refused(strict, token)).toBe(`The claim ${wrong} of the token is not accepted.`);
    else await expect(strict.verify(token)).resolves.toBeDefined();
  });
});

describe('with a key set', () => {
  const algorithms = ['RS256', 'PS384', 'ES256', 'ES512', 'EdDSA'];
  const pairs = new Map<string, GenerateKeyPairResult>();
  const servers: Server[] = [];
  let keys: JWK[];
  let fetched = 0;
  let jwksUrl: string;
  let verifier: TokenVerifier;

  const privateKey = (alg: string) => (pairs.get(alg) as GenerateKeyPairResult).privateKey;

  async function serve(listener: RequestListener): Promise<string> {
    const server = createServer(listener).listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
  }

  beforeAll(async () => {
    for (const alg of algorithms) pairs.set(alg, await generateKeyPair(alg, { extractable: true }));
    keys = await Promise.all([...pairs].map(async ([kid, { publicKey }]) => ({ ...(await exportJWK(publicKey)), kid, use: 'sig' })));
    jwksUrl = await serve((_, response) => {
      fetched += 1;
      response.setHeader('Content-Type', 'application/json').end(JSON.stringify({ keys }));
    });
  });
  beforeEach(() => {
    fetched = 0;
    verifier = verifierOf({ jwksUrl });
  });
  afterAll(() => {
    for (const server of servers) {
      server.close();
      server.closeAllConnections();
    }
  });

  it.each(algorithms)('takes %s', async (alg) => {
    const token = await sign({ exp: now() + 60 }, { alg, kid: alg, key: privateKey(alg) });
    expect((await verifier.verify(token)).mayRead('a')).toBe(true);
  });

  it('fetches the keys once, when the first tokens come', async () => {
    expect(fetched).toBe(0);
    const token = await sign({}, { alg: 'ES256', kid: 'ES256', key: privateKey('ES256') });
    await Promise.all(Array.from({ length: 20 }, () => verifier.verify(token)));
    const unknown = await sign({}, { alg: 'ES256', kid: 'unknown', key: privateKey('ES256') });
    expect(await refused(verifier, unknown)).toBe('The token is not valid.');
    expect(fetched).toBe(1);
  });

  it.each([
    ['a secret', async () => jwtSecret],
    ['the public key in PEM', async () => exportSPKI(pairs.get('RS256')?.publicKey as CryptoKey)],
    ['the public key as JSON', async () => JSON.stringify(keys[0])],
    ['the modulus of the public key', async () => keys[0]?.n as string],
  ])('refuses HS256 with %s', async (_, secret) => {
    const token = await sign({ feeds: '*' }, { kid: 'RS256', key: bytes(await secret()) });
    expect(await refused(verifier, token)).toBe('The token is not valid.');
    expect(fetched).toBe(0);
  });

  it.each([
    [
      "another's key under a known name",
      async () => sign({}, { alg: 'ES256', kid: 'ES256', key: (await generateKeyPair('ES256')).privateKey }),
    ],
    ['a key of another kind under a known name', async () => sign({}, { alg: 'ES256', kid: 'RS256', key: privateKey('ES256') })],
    ['a token that names none of several keys', async () => sign({}, { alg: 'RS256', key: privateKey('RS256') })],
    ['alg none', async () => new UnsecuredJWT({ feeds: '*' }).encode()],
    ['garbage', async () => 'a.b.c'],
    ['nothing', async () => ''],
  ])('refuses %s', async (_, token) => {
    expect(await refused(verifier, await token())).toBe('The token is not valid.');
  });

  it('does not take a key from the token itself', async () => {
    const { privateKey: key, publicKey } = await generateKeyPair('ES256', { extractable: true });
    const jwk = await exportJWK(publicKey);
    const token = await new SignJWT({ feeds: '*' }).setProtectedHeader({ alg: 'ES256', jwk, jku: jwksUrl }).sign(key);
    expect(await refused(verifier, token)).toBe('The token is not valid.');
  });

  it('refuses an expired token, and one of another issuer', async () => {
    const header = { alg: 'EdDSA', kid: 'EdDSA', key: privateKey('EdDSA') };
    expect(await refused(verifier, await sign({ exp: now() - 10 }, header))).toBe('The token has expired.');
    const strict = verifierOf({ jwksUrl, jwtIssuer: 'i' });
    expect(await refused(strict, await sign({ iss: 'another' }, header))).toMatch(/claim iss/);
  });

  describe('that cannot be had', () => {
    const signed = () => sign({}, { alg: 'ES256', kid: 'ES256', key: privateKey('ES256') });

    /** Expects that the token cannot be verified: 503. */
    async function unavailable(url: string, times = 1): Promise<void> {
      const verifier = verifierOf({ jwksUrl: url });
      for (let n = 0; n < times; n += 1) {
        const error = await verifier.verify(await signed()).catch((reason) => reason);
        expect(error).toMatchObject({ code: 'FEED_UNAVAILABLE' });
        expect(error).toMatchObject({ retryAfter: 5, message: expect.not.stringContaining('127.0.0.1') });
      }
    }

    it('because nobody listens', async () => {
      const url = await serve(() => {});
      const server = servers.pop() as Server;
      server.close();
      await once(server, 'close');
      await unavailable(url);
    });

    it('because it is not answered', async () => {
      await unavailable(await serve(() => {}));
    });

    it.each<[string, RequestListener]>([
      ['404', (_, response) => response.writeHead(404).end()],
      ['500', (_, response) => response.writeHead(500).end(JSON.stringify({ keys }))],
      ['a redirect', (_, response) => response.writeHead(302, { Location: jwksUrl }).end()],
      ['HTML', (_, response) => response.end('<html>')],
      ['JSON that is no key set', (_, response) => response.end('{}')],
      [
        'a key that is none',
        (_, response) => response.end(JSON.stringify({ keys: [{ kty: 'EC', crv: 'P-256', kid: 'ES256', x: '?', y: '?' }] })),
      ],
    ])('because of %s', async (_, listener) => {
      await unavailable(await serve(listener));
    });

    it('because it is of private keys', async () => {
      const leaked = { ...(await exportJWK(privateKey('ES256'))), kid: 'ES256' };
      await unavailable(await serve((_, response) => response.end(JSON.stringify({ keys: [leaked] }))));
    });

    it('and is left alone for a while then', async () => {
      let asked = 0;
      const url = await serve((_, response) => {
        asked += 1;
        response.writeHead(500).end();
      });
      await unavailable(url, 20);
      expect(asked).toBe(1);
    });

    it('and is asked again after a while', async () => {
      let broken = true;
      const url = await serve((_, response) => {
        if (broken) response.writeHead(500);
        response.end(JSON.stringify({ keys }));
      });
      const verifier = verifierOf({ jwksUrl: url });
      await expect(verifier.verify(await signed())).rejects.toMatchObject({ code: 'FEED_UNAVAILABLE' });
      broken = false;
      await expect(verifier.verify(await signed())).rejects.toMatchObject({ code: 'FEED_UNAVAILABLE' });
      const { now } = performance;
      performance.now = () => now.call(performance) + 5000;
      try {
        await expect(verifier.verify(await signed())).resolves.toBeDefined();
      } finally {
        performance.now = now;
      }
    });

    it('does not save a token that is refused without it', async () => {
      const verifier = verifierOf({ jwksUrl: 'http://127.0.0.1:1/' });
      expect(await refused(verifier, await sign())).toBe('The token is not valid.');
      expect(await refused(verifier, 'garbage')).toBe('The token is not valid.');
    });
  });
});

const encode = (part: unknown) => Buffer.from(JSON.stringify(part)).toString('base64url');

function swapHeader(token: string, header: object): string {
  return [encode(header), ...token.split('.').slice(1)].join('.');
}

function swapPayload(token: string, payload: object): string {
  const [header, , signature] = token.split('.');
  return [header, encode(payload), signature].join('.');
}
