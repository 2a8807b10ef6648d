import { Logger } from '@nestjs/common';
import { createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey, type JWTVerifyOptions, jwtVerify } from 'jose';
import { FeedUnauthorizedException } from '../errors/access.errors.js';
import { FeedUnavailableException } from '../errors/feed.errors.js';
import type { AuthOptions } from './auth.options.js';
import { Grant } from './grant.js';

/** Clocks of two machines may differ by this much, in seconds, when `exp` and `nbf` are looked at (RFC 7519 section 4.1.4). */
const clockTolerance = 5;

/** How long a key set may take to arrive, in milliseconds. */
const timeoutDuration = 3000;

/** Seconds that a key set is left alone after it could not be had, and after which a client may try again. */
const retryAfter = 5;

/** The one secret's algorithms and the public keys' are never mixed: a public key must not do as a secret (RFC 8725 section 3.1). */
const hmacs = ['HS256', 'HS384', 'HS512'];
const signatures = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'];

/** Verifies tokens: JSON Web Tokens (RFC 7519) that are signed, with the best current practices of RFC 8725. */
export class TokenVerifier {
  private constructor(
    private readonly key: JWTVerifyGetKey,
    private readonly rules: JWTVerifyOptions,
  ) {}

  /** @returns undefined where the options name no key */
  static of({ jwtSecret, jwksUrl, jwtIssuer: issuer, jwtAudience: audience }: AuthOptions): TokenVerifier | undefined {
    const rules = { issuer, audience, clockTolerance };
    if (jwtSecret !== undefined) {
      const secret = Buffer.from(jwtSecret);
      return new TokenVerifier(() => secret, { ...rules, algorithms: hmacs });
    }
    if (jwksUrl !== undefined) return new TokenVerifier(keySetAt(new URL(jwksUrl)), { ...rules, algorithms: signatures });
    return undefined;
  }

  /**
   * @returns what the token grants
   * @throws FeedUnauthorizedException (401) when the token does not hold
   * @throws FeedUnavailableException (503) when the key set cannot be had, so that nobody can tell
   */
  async verify(token: string): Promise<Grant> {
    try {
      const { payload } = await jwtVerify(token, this.key, this.rules);
      return Grant.from(payload);
    } catch (error) {
      if (error instanceof FeedUnavailableException) throw error;
      throw new FeedUnauthorizedException(refusalFor(error), 'invalid_token');
    }
  }
}

/** What to tell the client. The signature is checked first: claims are told of only to who has a token of the right issuer. */
function refusalFor(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'The token has expired.';
  if (error instanceof errors.JWTClaimValidationFailed) {
    return error.claim === 'nbf' ? 'The token is not valid yet.' : `The token's claim ${error.claim} is not what it must be.`;
  }
  return 'The token is not valid.';
}

/**
 * The keys at a URL, each found by its `kid`; a token without one needs a set with a single key for its algorithm.
 * A set that could not be had is left alone for a while, whatever number of clients comes back at once.
 */
function keySetAt(url: URL): JWTVerifyGetKey {
  const logger = new Logger('FeedAccess');
  let leftAloneUntil = 0;
  const keys = createRemoteJWKSet(url, {
    timeoutDuration,
    [customFetch]: async (...request) => {
      if (performance.now() < leftAloneUntil) throw new Error('It could not be had a moment ago.');
      return fetch(...request);
    },
  });
  return async (header, token) => {
    try {
      return await keys(header, token);
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) throw error;
      if (performance.now() >= leftAloneUntil) {
        leftAloneUntil = performance.now() + retryAfter * 1000;
        logger.error(`No keys for tokens from ${url.origin}${url.pathname}: ${reasonOf(error)}`);
      }
      throw new FeedUnavailableException('The keys that tokens are verified with cannot be had at the moment.', retryAfter);
    }
  };
}

/** `fetch` tells what happened in the cause. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
}
