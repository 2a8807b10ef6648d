import { Injectable, Logger } from '@nestjs/common';
import { errorText } from '../errors/error-text.js';
import { FeedException, isAnswer } from '../errors/feed-exception.js';
import type { FeedRequest, Grant, GrantCheck } from '../http/feed-request.js';
import type { ResolvedAuthOptions } from './auth.options.js';
import { type AuthorizeFunction, type AuthorizeRequest, checkAuthorization, type FeedClaims } from './authorize.js';
import { type Credential, type CredentialPlaces, credentialOf } from './credentials.js';
import { isCrossSite } from './cross-site.js';
import { TokenGrant } from './grant.js';
import type { Revocations } from './revocations.js';
import { indexOfSecret, Secret } from './secret.js';
import type { Tickets } from './tickets.js';
import { clockTolerance, TokenVerifier } from './token-verifier.js';
import { authorizationUnavailable, unauthorized } from './unauthorized.js';

const expired = 'The token has expired.';

/** What a request wants to do, and with which feeds; these are asked for where it matters. */
export interface Wanted {
  readonly action: 'read' | 'publish';
  readonly feeds: () => readonly string[];
}

/** Finds out what the key, the token or the ticket of a request grants. */
@Injectable()
export class Authenticator implements GrantCheck {
  private readonly logger = new Logger('FeedAccess');
  private readonly verifier: TokenVerifier | undefined;
  private readonly publishKeys: readonly Secret[];
  private readonly keyGrants: readonly TokenGrant[];
  private readonly places: CredentialPlaces;

  /** @param tickets undefined where none are issued */
  constructor(
    private readonly options: ResolvedAuthOptions,
    private readonly revocations: Revocations,
    readonly tickets: Tickets | undefined,
  ) {
    this.places = { ...options, tickets: tickets !== undefined };
    this.verifier = TokenVerifier.of(options);
    this.publishKeys = options.publishKeys.map((key) => new Secret(key));
    this.keyGrants = options.publishKeys.map((_, n) => TokenGrant.ofKey(n + 1));
  }

  /**
   * @returns what the request may do
   * @throws FeedException FEED_UNAUTHORIZED (401), FEED_FORBIDDEN and FEED_REVOKED (403), FEED_UNAVAILABLE and FEED_BROKER (503), as
   * `FeedAuthGuard` says; what the application's `authorize` throws as an answer
   */
  async authenticate(request: FeedRequest, wanted: Wanted): Promise<TokenGrant> {
    const grant = await this.grantOf(request, wanted);
    this.revocations.check(grant.bearer);
    request.granter = this;
    return grant;
  }

  /** @throws FeedException FEED_REVOKED (403), FEED_UNAUTHORIZED (401) where a grant holds no more */
  check({ bearer }: Grant): void {
    if ((bearer.expiresAt ?? Number.POSITIVE_INFINITY) + clockTolerance * 1000 <= Date.now()) throw unauthorized(expired, true);
    this.revocations.check(bearer);
  }

  private async grantOf(request: FeedRequest, wanted: Wanted): Promise<TokenGrant> {
    const { options, tickets, verifier } = this;
    const credential = credentialOf(request, this.places);
    const everything = credential && this.grantOfKey(credential);
    if (everything) return everything;
    if (credential?.from === 'ticket' && tickets)
      return tickets.redeem(credential.token, request.isHead, ({ bearer }) => this.revocations.check(bearer));
    const doing = wanted.action === 'read' ? 'Reading' : 'Publishing';
    if (credential?.from === 'key') throw unauthorized(`${doing} needs the publish key or a token.`, true);
    if (options.authorize) return this.ask(options.authorize, request, credential, wanted);
    if (!credential || !verifier) {
      const hint = options.tokenInQuery || !request.query.has('token') ? '' : ' A token in the URL is not accepted: send it in a header.';
      throw unauthorized(`${doing} needs the publish key or a token.${hint}`, credential !== undefined);
    }
    if (credential.from === 'cookie' && this.isForeign(request)) throw crossSite(wanted);
    return verifier.verify(credential.token);
  }

  /** Has the application, or another service, decide. */
  private async ask(
    authorize: AuthorizeFunction,
    request: FeedRequest,
    credential: Credential | undefined,
    { action, feeds }: Wanted,
  ): Promise<TokenGrant> {
    const { headers, method = '' } = request.raw;
    const isForeign = headers.cookie !== undefined && this.isForeign(request);
    const authorization = headers.authorization ?? (credential?.from === 'query' ? `Bearer ${credential.token}` : undefined);
    if (authorization !== undefined && !isFieldValue.test(authorization)) throw unauthorized('The token is not valid.', true);
    if (isForeign && authorization === undefined) throw crossSite({ action });
    const cookie = isForeign ? undefined : headers.cookie;
    const question: AuthorizeRequest = {
      action,
      feeds: feeds(),
      method,
      path: request.urlPath,
      authorization,
      cookie,
      request: request.raw,
    };
    const allowed = await this.decide(authorize, question);
    if (allowed !== false) return TokenGrant.from(claimsOf(allowed, question));
    if (authorization === undefined && cookie === undefined) throw unauthorized('This needs a token.', false);
    throw new FeedException('FEED_FORBIDDEN', {
      message: `This request may not ${action === 'read' ? 'read these feeds' : 'publish here'}.`,
    });
  }

  /** Where there is no decision, nothing is allowed. */
  private async decide(authorize: AuthorizeFunction, question: AuthorizeRequest) {
    try {
      const allowed = checkAuthorization(await authorize(question));
      if (typeof allowed === 'object' && (allowed.exp ?? Number.POSITIVE_INFINITY) * 1000 <= Date.now()) throw unauthorized(expired, true);
      return allowed;
    } catch (error) {
      if (isAnswer(error)) throw error;
      this.logger.error(`The option "authorize" failed: ${errorText(error)}`);
      throw authorizationUnavailable({ cause: error });
    }
  }

  /** The key is accepted in headers only: it opens everything and does not expire, which is too much for a URL or a cookie. */
  private grantOfKey({ token, from }: Credential): TokenGrant | undefined {
    if (from !== 'key' && from !== 'header') return undefined;
    return this.keyGrants[indexOfSecret(this.publishKeys, token)];
  }

  /** Whether a page of another site has the browser do something in the name of its user. */
  private isForeign({ raw }: FeedRequest): boolean {
    return raw.method !== 'GET' && raw.method !== 'HEAD' && isCrossSite(raw, this.options.trustedOrigins);
  }
}

/** What can be passed on in a header (RFC 9110 section 5.5): a token in a URL may be anything. */
const isFieldValue = /^[\t\x20-\x7e\x80-\xff]*$/;

/** What is allowed: where that does not name feeds, the action on those that were asked about. */
function claimsOf(allowed: FeedClaims | true, { action, feeds }: AuthorizeRequest): FeedClaims {
  const claims = allowed === true ? {} : allowed;
  if ((claims.feeds ?? claims.publish) !== undefined) return claims;
  return { ...claims, [action === 'read' ? 'feeds' : 'publish']: feeds };
}

function crossSite({ action }: Pick<Wanted, 'action'>): FeedException {
  const what = action === 'read' ? 'open this feed' : 'publish';
  return new FeedException('FEED_FORBIDDEN', { message: `A page of another site cannot ${what} with this site's cookie.` });
}
