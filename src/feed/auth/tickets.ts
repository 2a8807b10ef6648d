import { createHmac, randomBytes } from 'node:crypto';
import { errors, type JWTVerifyGetKey, SignJWT } from 'jose';
import type { Broker } from '../broker/broker.js';
import { KeyReusedError } from '../errors/broker.errors.js';
import { toFeedException } from '../errors/to-feed-exception.js';
import { TokenGrant } from './grant.js';
import { clockTolerance, secretKeys, verifiedBy } from './token-verifier.js';
import { unauthorized } from './unauthorized.js';

/** How long a ticket is valid, in milliseconds. */
const lifeMs = 30_000;

/** For how long a broker has to know a used ticket, in milliseconds: longer than it is valid. */
export const usedMs = 60_000;

/** A ticket, as it is issued. */
export interface FeedTicket {
  readonly ticket: string;
  /** When it cannot be used any more, in milliseconds since 1970. */
  readonly expiresAt: number;
}

/**
 * One-time tickets: each opens one connection with what a token grants, from a URL, where a token would stay in logs.
 *
 * A ticket is a token of its own, which any node can verify. That it is used once is up to the broker: its use is a publication with its id
 * as the key, which the broker stores once over all nodes.
 */
export class Tickets {
  private readonly keys: readonly Buffer[];
  private readonly verifyKeys: readonly JWTVerifyGetKey[];

  /** @param secrets the first signs */
  constructor(
    private readonly broker: Broker,
    secrets: readonly string[],
  ) {
    // What is signed by a key of its own is a token nowhere else.
    this.keys = secrets.map((secret) => createHmac('sha256', secret).update('nestjs-feed ticket').digest());
    this.verifyKeys = secretKeys(this.keys);
  }

  /** Issues a ticket, which expires with the grant at the latest. */
  async issue(grant: TokenGrant): Promise<FeedTicket> {
    const expiresAt = Math.floor(Math.min(Date.now() + lifeMs, grant.bearer.expiresAt ?? Number.POSITIVE_INFINITY) / 1000);
    const ticket = await new SignJWT({ grant: grant.toClaims() })
      .setProtectedHeader({ alg: 'HS256' })
      .setJti(randomBytes(16).toString('hex'))
      .setExpirationTime(expiresAt)
      .sign(this.keys[0] as Buffer);
    return { ticket, expiresAt: expiresAt * 1000 };
  }

  /**
   * Uses a ticket up, unless it is for a look alone.
   *
   * @param isLook whether the request is a `HEAD`, which opens nothing and may be sent again (RFC 9110 section 9.2.1)
   * @param check throws where what was granted holds no more: the ticket is not used then
   * @returns what the token granted that it was issued for
   * @throws FeedException FEED_UNAUTHORIZED (401) for one that is forged, expired or used; FEED_BROKER (503) while the broker cannot say
   */
  async redeem(ticket: string, isLook: boolean, check: (grant: TokenGrant) => void): Promise<TokenGrant> {
    const { jti, claims } = await this.verify(ticket);
    const grant = TokenGrant.from(claims);
    if ((grant.bearer.expiresAt ?? Number.POSITIVE_INFINITY) <= Date.now()) throw unauthorized('The token has expired.', true);
    check(grant);
    if (isLook) return grant;
    // Several feeds, so that no broker has to drop the use of a ticket that is valid for that of others.
    const feed = `$tickets/${jti.slice(0, 2)}`;
    try {
      await this.broker.publish(feed, { type: undefined, text: randomBytes(16).toString('hex'), isJson: false }, { key: jti });
    } catch (error) {
      throw error instanceof KeyReusedError ? unauthorized('The ticket has been used. Get another one.', true) : toFeedException(error);
    }
    return grant;
  }

  private async verify(ticket: string): Promise<{ jti: string; claims: Record<string, unknown> }> {
    try {
      const { jti, grant } = await verifiedBy(this.verifyKeys, ticket, { algorithms: ['HS256'], clockTolerance });
      return { jti: jti as string, claims: grant as Record<string, unknown> };
    } catch (error) {
      throw unauthorized(
        error instanceof errors.JWTExpired ? 'The ticket has expired. Get another one.' : 'The ticket is not valid.',
        true,
      );
    }
  }
}
