import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { AUTH_OPTIONS, type ResolvedAuthOptions } from '../feed/auth/auth.options.js';
import { Authenticator } from '../feed/auth/authenticator.js';
import { credentialOf } from '../feed/auth/credentials.js';
import { indexOfSecret, Secret } from '../feed/auth/secret.js';
import { unauthorized } from '../feed/auth/unauthorized.js';
import { FeedException } from '../feed/errors/feed-exception.js';
import { FeedOptionsError } from '../feed/errors/feed-options.error.js';
import { FeedRequest } from '../feed/http/feed-request.js';
import { withErrorHead } from '../feed/http/head.js';
import { ADMIN_OPTIONS, type ResolvedAdminOptions } from './admin.options.js';

const needed = 'This needs the admin key, or a token with the claim "admin": true.';
/** No cookie has this name. */
const headersAlone = { tokenCookie: '', tokenInQuery: false };
const wanted = { action: 'read', feeds: () => [] } as const;

/**
 * Opens the routes of operators to those who have the admin key, or a token with the claim `admin: true`. Either comes in a header: neither in
 * the URL, which is logged, nor in a cookie, which a browser sends by itself.
 */
@Injectable()
export class AdminGuard implements CanActivate {
  private readonly keys: readonly Secret[];
  private readonly hasTokens: boolean;

  /** @throws FeedOptionsError where there is neither a key nor a way to verify tokens */
  constructor(
    @Inject(ADMIN_OPTIONS) { key = [] }: ResolvedAdminOptions,
    @Inject(AUTH_OPTIONS) { jwtSecrets, jwksUrl, authorize }: ResolvedAuthOptions,
    private readonly authenticator: Authenticator,
  ) {
    this.keys = key.map((one) => new Secret(one));
    this.hasTokens = jwtSecrets.length > 0 || jwksUrl !== undefined || authorize !== undefined;
    if (this.keys.length === 0 && !this.hasTokens) {
      throw new FeedOptionsError(
        'AdminModule needs "key", "guards", or tokens: FeedModule\'s "jwtSecret", "jwksUrl" or "authorize"',
        'key',
      );
    }
  }

  /**
   * @returns true
   * @throws FeedException FEED_UNAUTHORIZED (401, with `WWW-Authenticate`) where the key or token is missing or not valid; FEED_FORBIDDEN
   * (403) for a token without the claim; and what `FeedAuthGuard` fails with for a token
   */
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const http = context.switchToHttp();
    const request = FeedRequest.of(http.getRequest());
    try {
      await this.check(request);
      return true;
    } catch (error) {
      throw withErrorHead(error, http.getResponse());
    }
  }

  private async check(request: FeedRequest): Promise<void> {
    const credential = credentialOf(request, headersAlone);
    if (credential?.from !== 'key' && credential?.from !== 'header') throw unauthorized(needed, false);
    if (indexOfSecret(this.keys, credential.token) >= 0) return;
    if (credential.from === 'key' || !this.hasTokens) throw unauthorized(needed, true);
    const grant = await this.authenticator.authenticate(request, wanted);
    request.grant = grant;
    if (grant.isAdmin) return;
    if (grant.bearer.key !== undefined) throw unauthorized(needed, true); // that of publishers
    throw new FeedException('FEED_FORBIDDEN', { message: 'The token does not have the claim "admin": true.' });
  }
}
