import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { FeedException } from '../errors/feed-exception.js';
import { FeedRequest, type Grant } from '../http/feed-request.js';
import { isFeedRoute } from '../http/feed-routes.js';
import { withErrorHead } from '../http/head.js';
import type { RuleSet } from '../pubsub/rules.js';
import { Measures } from '../stats/measures.js';
import { AUTH_OPTIONS, type ResolvedAuthOptions } from './auth.options.js';
import { type Credential, credentialOf } from './credentials.js';
import { isCrossSite } from './cross-site.js';
import { RuledGrant, TokenGrant } from './grant.js';
import { Revocations } from './revocations.js';
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

  /** Whether rules say of some feeds who reads them. */
  private readonly hasReadRules: boolean;

  constructor(
    @Inject(AUTH_OPTIONS) private readonly options: ResolvedAuthOptions & { readonly rules: RuleSet },
    private readonly revocations: Revocations,
    private readonly measures: Measures,
  ) {
    this.hasReadRules = options.rules.all.some(({ read }) => read !== undefined);
    this.verifier = TokenVerifier.of(options);
    this.publishKey = options.publishKey === undefined ? undefined : new Secret(options.publishKey);
  }

  /**
   * @returns true
   * @throws FeedException FEED_UNAUTHORIZED (401, with `WWW-Authenticate`) where the key or token is missing or not valid; FEED_FORBIDDEN
   * (403) where a page of another site makes the browser publish, or open a feed by `POST`, with the token in its cookie; FEED_REVOKED (403); FEED_BROKER (503) until the revoked tokens are known; FEED_UNAVAILABLE (503, with
   * `Retry-After`) where the keys of tokens cannot be fetched
   */
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const http = context.switchToHttp();
    const request = FeedRequest.of(http.getRequest());
    try {
      request.grant = await this.grantOf(request, isFeedRoute(context.getHandler()), this.checksFeeds(context));
      return true;
    } catch (error) {
      this.measures.noteRefusal(error, request.namedFeed);
      throw withErrorHead(error, http.getResponse());
    }
  }

  /** Whether the route checks by the grant which feeds are read, so that a request without a token may go on until then. */
  protected checksFeeds(context: ExecutionContext): boolean {
    return isFeedRoute(context.getHandler());
  }

  private async grantOf(request: FeedRequest, opensFeed: boolean, isChecked: boolean): Promise<Grant | undefined> {
    const isRead = opensFeed || isGet(request);
    const { rules, public: isPublic } = this.options;
    if (!isRead) return this.authenticate(request, false);
    if (!this.hasReadRules) return isPublic ? undefined : this.authenticate(request, true);
    let missing: unknown;
    try {
      return new RuledGrant(rules, isPublic, await this.authenticate(request, true));
    } catch (error) {
      if (!isPublic && !isChecked) throw error;
      missing = error;
    }
    return new RuledGrant(rules, isPublic, undefined, missing);
  }

  private async authenticate(request: FeedRequest, isRead: boolean): Promise<Grant> {
    const credential = credentialOf(request, this.options.tokenCookie);
    if (credential && this.isPublishKey(credential)) return TokenGrant.everything;
    if (!credential || credential.from === 'key' || !this.verifier) {
      throw unauthorized(`${isRead ? 'Reading' : 'Publishing'} needs the publish key or a token.`, credential !== undefined);
    }
    if (!isGet(request) && credential.from === 'cookie' && isCrossSite(request.raw)) {
      const what = isRead ? 'open this feed' : 'publish';
      throw new FeedException('FEED_FORBIDDEN', { message: `A page of another site cannot ${what} with this site's cookie.` });
    }
    const grant = await this.verifier.verify(credential.token);
    this.revocations.check(grant);
    return grant;
  }

  /** The key is accepted in headers only: it opens everything and does not expire, which is too much for a URL or a cookie. */
  private isPublishKey({ token, from }: Credential): boolean {
    return (from === 'key' || from === 'header') && this.publishKey !== undefined && this.publishKey.matches(token);
  }
}

function isGet({ raw: { method } }: FeedRequest): boolean {
  return method === 'GET' || method === 'HEAD';
}
