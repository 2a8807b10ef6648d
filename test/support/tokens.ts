import { type CryptoKey, type JWTPayload, SignJWT } from 'jose';
import type { AuthOptions } from '../../src/feed/auth/auth.options.js';
import { TokenVerifier } from '../../src/feed/auth/token-verifier.js';
import { FeedException } from '../../src/feed/errors/feed-exception.js';
import { resolveFeedOptions } from '../../src/feed/feed.options.js';

export const jwtSecret = 'a secret of thirty-two bytes, no less';
export const bytes = (secret: string) => new TextEncoder().encode(secret);
/** The time as tokens have it: in seconds. */
export const now = () => Math.floor(Date.now() / 1000);

interface SignOptions {
  key?: CryptoKey | Uint8Array;
  alg?: string;
  kid?: string;
  crit?: string[];
}

/** A token that may read feed `a`, unless its claims say otherwise. */
export function sign(claims: JWTPayload = {}, { key = bytes(jwtSecret) as CryptoKey | Uint8Array, ...header }: SignOptions = {}) {
  return new SignJWT({ feeds: 'a', ...claims }).setProtectedHeader({ alg: 'HS256', ...header }).sign(key);
}

export function verifierOf(options: AuthOptions): TokenVerifier {
  const verifier = TokenVerifier.of(resolveFeedOptions(options));
  if (!verifier) throw new Error('no key');
  return verifier;
}

/** That the token is refused with 401, and in which words. */
export async function refused(verifier: TokenVerifier, token: string): Promise<string> {
  const error = await verifier.verify(token).then(
    () => new Error('the token was taken'),
    (reason) => reason,
  );
  expect(error).toBeInstanceOf(FeedException);
  expect(error).toMatchObject({ code: 'FEED_UNAUTHORIZED', challenge: 'Bearer realm="feeds", error="invalid_token"' });
  return error.message;
}
