import { Logger } from '@nestjs/common';
import { createRemoteJWKSet, customFetch, errors, type JWTPayload, type JWTVerifyGetKey, type JWTVerifyOptions, jwtVerify } from 'jose';
import { FeedException } from '../errors/feed-exception.js';
import type { ResolvedAuthOptions } from './auth.options.js';
import { TokenGrant } from './grant.js';
import { unauthorized } from './unauthorized.js';

/** Clocks of two machines may differ by this much, in seconds, when `exp` and `nbf` are looked at (RFC 7519 section 4.1.4). */
export const clockTolerance = 5;

/** How long a key set may take to arrive, in milliseconds. */
const timeoutDuration = 3000;

/** How long a key set is not requested again after that has failed, in milliseconds. */
const pauseMs = 5000;

/** The algorithms of a secret and of public keys are never mixed: a public key must not serve as a secret (RFC 8725 section 3.1). */
const hmacs = ['HS256', 'HS384', 'HS512'];
const signatures = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'];

/** Verifies tokens: JSON Web Tokens (RFC 7519) that are signed, with the best current practices of RFC 8725. */
export class TokenVerifier {
  /** @param keys each of which may be the one that a token is signed with */
  private constructor(
    private readonly keys: readonly JWTVerifyGetKey[],
    private readonly rules: JWTVerifyOptions,
  ) {}

  /** @returns undefined where the options name no key */
  static of({ jwtSecrets, jwksUrl, jwtIssuer: issuer, jwtAudience: audience }: ResolvedAuthOptions): TokenVerifier | undefined {
    const rules = { issuer, audience, clockTolerance };
    if (jwtSecrets.length > 0) return new TokenVerifier(secretKeys(jwtSecrets), { ...rules, algorithms: hmacs });
    if (jwksUrl !== undefined) return new TokenVerifier([keySetAt(new URL(jwksUrl))], { ...rules, algorithms: signatures });
    return undefined;
  }

  /**
   * @returns what the token grants
   * @throws FeedException FEED_UNAUTHORIZED (401) when the token is not valid; FEED_UNAVAILABLE (503) when the key set cannot be fetched,
   * so that the token cannot be verified
   */
  async verify(token: string): Promise<TokenGrant> {
    try {
      return TokenGrant.from(await verifiedBy(this.keys, token, this.rules));
    } catch (error) {
      if (error instanceof FeedException) throw error;
      throw unauthorized(reasonFor(error), true);
    }
  }
}

/** Keys that are secrets. */
export function secretKeys(secrets: readonly (string | Uint8Array)[]): JWTVerifyGetKey[] {
  return secrets.map((secret) => {
    const bytes = Buffer.from(secret as string);
    return () => bytes;
  });
}

/**
 * The claims of a token that one of the keys has signed.
 *
 * @throws what `jwtVerify()` throws
 */
export async function verifiedBy(keys: readonly JWTVerifyGetKey[], token: string, rules: JWTVerifyOptions): Promise<JWTPayload> {
  for (const [n, key] of keys.entries()) {
    try {
      return (await jwtVerify(token, key, rules)).payload;
    } catch (error) {
      if (!(error instanceof errors.JWSSignatureVerificationFailed) || n === keys.length - 1) throw error;
    }
  }
  throw new errors.JWSSignatureVerificationFailed();
}

/** What the client is told. The signature is checked first: only a client with a token of the right issuer learns about claims. */
function reasonFor(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'The token has expired.';
  if (error instanceof errors.JWTClaimValidationFailed) {
    return error.claim === 'nbf' ? 'The token is not valid yet.' : `The claim ${error.claim} of the token is not accepted.`;
  }
  return 'The token is not valid.';
}

/**
 * The keys at a URL, each found by its `kid`; a token without one needs a set with a single key for its algorithm. A set that could not
 * be fetched is not requested again for a while, however many clients reconnect.
 */
function keySetAt(url: URL): JWTVerifyGetKey {
  const logger = new Logger('FeedAccess');
  let pausedUntil = 0;
  const keys = createRemoteJWKSet(url, {
    timeoutDuration,
    [customFetch]: async (...request) => {
      if (performance.now() < pausedUntil) throw new Error('The last request has just failed.');
      return fetch(...request);
    },
  });
  return async (header, token) => {
    try {
      return await keys(header, token);
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) throw error;
      if (performance.now() >= pausedUntil) {
        pausedUntil = performance.now() + pauseMs;
        logger.error(`The keys that verify tokens cannot be fetched from ${url.origin}${url.pathname}: ${reasonOf(error)}`);
      }
      throw new FeedException('FEED_UNAVAILABLE', { message: 'The keys that verify tokens cannot be fetched at the moment.' });
    }
  };
}

/** `fetch` gives the reason in the cause. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
}
