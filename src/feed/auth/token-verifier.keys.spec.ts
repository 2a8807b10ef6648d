import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Logger } from '@nestjs/common';
import { type CryptoKey, exportJWK, exportSPKI, type GenerateKeyPairResult, generateKeyPair, type JWK, SignJWT } from 'jose';
import { bytes, now, refused, sign, verifierOf } from '../../../test/support/tokens.js';
import type { TokenVerifier } from './token-verifier.js';

beforeAll(() => Logger.overrideLogger(false));

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

  it('does not take a public key for a secret', async () => {
    const publicKey = await exportSPKI(pairs.get('RS256')?.publicKey as CryptoKey);
    const token = await sign({ feeds: '*' }, { kid: 'RS256', key: bytes(publicKey) });
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
  ])('refuses %s', async (_, token) => {
    expect(await refused(verifier, await token())).toBe('The token is not valid.');
  });

  it('does not take a key from the token itself', async () => {
    const { privateKey: key, publicKey } = await generateKeyPair('ES256', { extractable: true });
    const jwk = await exportJWK(publicKey);
    const token = await new SignJWT({ feeds: '*' }).setProtectedHeader({ alg: 'ES256', jwk, jku: jwksUrl }).sign(key);
    expect(await refused(verifier, token)).toBe('The token is not valid.');
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

    it('because the server is down', async () => {
      await unavailable('http://127.0.0.1:1/');
    });

    it('because it is not answered', async () => {
      await unavailable(await serve(() => {}));
    });

    it.each<[string, RequestListener]>([
      ['500', (_, response) => response.writeHead(500).end(JSON.stringify({ keys }))],
      ['a redirect', (_, response) => response.writeHead(302, { Location: jwksUrl }).end()],
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
