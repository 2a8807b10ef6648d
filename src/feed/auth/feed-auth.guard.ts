import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { FeedException } from '../errors/feed-exception.js';
import { FeedRequest, type Grant } from '../http/feed-request.js';
import { isFeedRoute, namedFeeds } from '../http/feed-routes.js';
import { withErrorHead } from '../http/head.js';
import type { RuleSet } from '../pubsub/rules.js';
import { Measures } from '../stats/measures.js';
import { AUTH_OPTIONS, type ResolvedAuthOptions } from './auth.options.js';
import { Authenticator, type Wanted } from './authenticator.js';
import { RuledGrant } from './grant.js';

/**
 * Verifies the key, token or ticket of a request and notes what it grants; the route then checks the feeds. A route that opens a feed reads,
 * whatever its method; elsewhere `GET` and `HEAD` read, and every other method publishes.
 */
@Injectable()
export class FeedAuthGuard implements CanActivate {
  /** Whether rules say of some feeds who reads them. */
  private readonly hasReadRules: boolean;

  constructor(
    @Inject(AUTH_OPTIONS) private readonly options: ResolvedAuthOptions & { readonly rules: RuleSet },
    private readonly authenticator: Authenticator,
    private readonly measures: Measures,
  ) {
    this.hasReadRules = options.rules.all.some(({ read }) => read !== undefined);
  }

  /**
   * @returns true
   * @throws FeedException FEED_QUERY (400) where the URL has several tokens or tickets; FEED_UNAUTHORIZED (401, with `WWW-Authenticate`) where
   * the key, token or ticket is missing or not valid; FEED_FORBIDDEN (403) where a page of another site makes the browser publish, or open a
   * feed by `POST`, with a cookie, and where `authorize` refuses; FEED_REVOKED (403); FEED_UNAVAILABLE (503, with `Retry-After`) where the keys
   * of tokens cannot be fetched, or nothing can be learnt by `authorize`; FEED_BROKER (503) until the revoked tokens are known, and where the
   * broker cannot say whether a ticket has been used
   */
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const http = context.switchToHttp();
    const request = FeedRequest.of(http.getRequest());
    const handler = context.getHandler();
    const action = isFeedRoute(handler) || isGet(request) ? 'read' : 'publish';
    const wanted: Wanted = { action, feeds: () => namedFeeds(handler, request) };
    try {
      request.grant = await this.grantOf(request, wanted, this.checksFeeds(context));
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

  private async grantOf(request: FeedRequest, wanted: Wanted, isChecked: boolean): Promise<Grant | undefined> {
    const { rules, public: isPublic } = this.options;
    if (wanted.action === 'publish') return this.authenticator.authenticate(request, wanted);
    if (!this.hasReadRules) return isPublic ? undefined : this.authenticator.authenticate(request, wanted);
    let missing: unknown;
    try {
      return new RuledGrant(rules, isPublic, await this.authenticator.authenticate(request, wanted));
    } catch (error) {
      if ((!isPublic && !isChecked) || isBadRequest(error)) throw error;
      missing = error;
    }
    return new RuledGrant(rules, isPublic, undefined, missing);
  }
}

/** Whether the request is malformed: it is rejected also where everyone may read the feed. */
function isBadRequest(error: unknown): boolean {
  return error instanceof FeedException && error.code === 'FEED_QUERY';
}

function isGet({ raw: { method } }: FeedRequest): boolean {
  return method === 'GET' || method === 'HEAD';
}
