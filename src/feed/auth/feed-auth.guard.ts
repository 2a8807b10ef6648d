import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { FeedException } from '../errors/feed-exception.js';
import { FeedRequest, type Grant } from '../http/feed-request.js';
import { isFeedRoute } from '../http/feed-routes.js';
import { withErrorHead } from '../http/head.js';
import { AUTH_OPTIONS, type ResolvedAuthOptions } from './auth.options.js';
import { type Credential, credentialOf } from './credentials.js';
import { isCrossSite } from './cross-site.js';
import { TokenGrant } from './grant.js';
import { Secret } from './secret.js';
import { TokenVerifier } from './token-verifier.js';
import { unauthorized } from './unauthorized.js';

/**
 * Verifies the key or token of a request and notes what it grants; the route then checks the feeds. A route that opens a feed reads,
 * whatever its method; elsewhere `GET` and `HEAD` read, and every other method publishes.
 */
@Injectable()
export class FeedAuthGuard implements CanActivate {
  private readonly verifier: TokenVerifier | undefined;
  private readonly publishKey: Secret | undefined;

  constructor(@Inject(AUTH_OPTIONS) private readonly options: ResolvedAuthOptions) {
    this.verifier = TokenVerifier.of(options);
    this.publishKey = options.publishKey === undefined ? undefined : new Secret(options.publishKey);
  }

  /**
   * @returns true
   * @throws FeedException FEED_UNAUTHORIZED (401, with `WWW-Authenticate`) where the key or token is missing or not valid; FEED_FORBIDDEN
   * (403) where a page of another site makes the browser publish, or open a feed by `POST`, with the token in its cookie; FEED_UNAVAILABLE (503, with
   * `Retry-After`) where the keys of tokens cannot be fetched
   */
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const http = context.switchToHttp();
    const request = FeedRequest.of(http.getRequest());
    try {
      request.grant = await this.authenticate(request, isFeedRoute(context.getHandler()));
      return true;
    } catch (error) {
      throw withErrorHead(error, http.getResponse());
    }
  }

  private async authenticate(request: FeedRequest, opensFeed: boolean): Promise<Grant | undefined> {
    const { method } = request.raw;
    const isGet = method === 'GET' || method === 'HEAD';
    const isRead = isGet || opensFeed;
    if (isRead && this.options.public) return undefined;
    const credential = credentialOf(request, this.options.tokenCookie);
    if (credential && this.isPublishKey(credential)) return TokenGrant.everything;
    if (!credential || credential.from === 'key' || !this.verifier) {
      throw unauthorized(`${isRead ? 'Reading' : 'Publishing'} needs the publish key or a token.`, credential !== undefined);
    }
    if (!isGet && credential.from === 'cookie' && isCrossSite(request.raw)) {
      const what = isRead ? 'open this feed' : 'publish';
      throw new FeedException('FEED_FORBIDDEN', { message: `A page of another site cannot ${what} with this site's cookie.` });
    }
    return this.verifier.verify(credential.token);
  }

  /** The key is accepted in headers only: it opens everything and does not expire, which is too much for a URL or a cookie. */
  private isPublishKey({ token, from }: Credential): boolean {
    return (from === 'key' || from === 'header') && this.publishKey !== undefined && this.publishKey.matches(token);
  }
}
