import { FeedException } from '../errors/feed-exception.js';
import type { Bearer, FeedRequest, Grant } from '../http/feed-request.js';
import { matchesFeed } from '../message/feed-id.js';
import type { RuleSet } from '../pubsub/rules.js';
import { unauthorized } from './unauthorized.js';

/** The longest JSON of a token's claim `info`, in bytes. */
export const longestInfo = 1024;

/** The longest subject, or id, of a token, in characters: OpenID Connect has subjects of so many. What is longer could not be revoked. */
export const longestName = 255;

/** What a key or a token allows, by patterns of feeds. */
export class TokenGrant implements Grant {
  constructor(
    private readonly feeds: readonly string[],
    private readonly publish: readonly string[],
    readonly bearer: Bearer,
    /** Whether the routes of operators are open to it. */
    readonly isAdmin = false,
  ) {}

  /**
   * What the claims of a verified token allow: `feeds` may be read and `publish` may be published to, each an array of patterns or one
   * pattern. A pattern is an id, or the beginning of ids followed by `*`; a `*` elsewhere stands for itself. `info` is what the presence of a feed
   * shows of its bearer; one whose JSON has more than 1,024 bytes is left out. `admin` is `true` for operators. Claims of other types allow nothing.
   *
   * @throws FeedException FEED_UNAUTHORIZED (401) where `sub` or `jti` is no name that can be revoked
   */
  static from({ feeds, publish, sub, exp, jti, info, admin }: Readonly<Record<string, unknown>>): TokenGrant {
    const bearer = {
      subject: nameIn('sub', sub),
      expiresAt: typeof exp === 'number' ? exp * 1000 : undefined,
      tokenId: nameIn('jti', jti),
      info: infoIn(info),
    };
    return new TokenGrant(patternsIn(feeds), patternsIn(publish), bearer, admin === true);
  }

  /**
   * What a publish key allows: everything.
   *
   * @param number tells it from the others
   */
  static ofKey(number: number): TokenGrant {
    return new TokenGrant(['*'], ['*'], { key: `publish:${number}` });
  }

  /** A grant to read these feeds alone, for as long. */
  narrowed(feeds: readonly string[]): TokenGrant {
    return new TokenGrant(feeds, [], { ...this.bearer, key: undefined });
  }

  /** Claims that grant the same reading, for as long. */
  toClaims(): Record<string, unknown> {
    const { feeds, bearer } = this;
    const { subject, expiresAt, tokenId, info } = bearer;
    return { feeds, sub: subject, exp: expiresAt && expiresAt / 1000, jti: tokenId, ...(info !== undefined && { info: JSON.parse(info) }) };
  }

  mayRead(feed: string): boolean {
    return this.feeds.some((pattern) => matchesFeed(pattern, feed));
  }

  mayPublish(feed: string): boolean {
    return this.publish.some((pattern) => matchesFeed(pattern, feed));
  }
}

/** That of a request without a token. */
export const noBearer: Bearer = {};

/** What a request may read where rules say for some feeds whether that takes a token. */
export class RuledGrant implements Grant {
  /**
   * @param isPublic whether feeds of which no rule says it take none
   * @param token what the request's token allows; undefined where it has none that is valid
   * @param missing why it has none
   */
  constructor(
    private readonly rules: RuleSet,
    private readonly isPublic: boolean,
    private readonly token: Grant | undefined,
    readonly missing?: unknown,
  ) {}

  get bearer(): Bearer {
    return this.token?.bearer ?? noBearer;
  }

  mayRead(feed: string): boolean {
    const { read = this.isPublic ? 'public' : 'token' } = this.rules.of(feed) ?? {};
    return read === 'public' || (this.token?.mayRead(feed) ?? false);
  }

  mayPublish(feed: string): boolean {
    return this.token?.mayPublish(feed) ?? false;
  }
}

/**
 * Checks that a request may read all of these feeds, and that its token still holds; one without a grant may. Whether a feed has messages makes no difference.
 *
 * @throws FeedException FEED_FORBIDDEN, FEED_REVOKED (403), FEED_UNAUTHORIZED (401), and what `FeedAuthGuard` rejects a request without a token with
 */
export function checkMayRead(request: FeedRequest, feeds: readonly string[]): void {
  const { grant } = request;
  request.checkGrant();
  const feed = grant && feeds.find((feed) => !grant.mayRead(feed));
  if (feed === undefined) return;
  if (grant?.missing !== undefined) throw grant.missing;
  throw new FeedException('FEED_FORBIDDEN', { message: `The token does not grant reading the feed "${feed}".`, feed });
}

/**
 * Checks that a request may publish to all of these feeds; one without a grant may.
 *
 * @throws FeedException FEED_FORBIDDEN (403)
 */
export function checkMayPublish({ grant }: FeedRequest, feeds: readonly string[]): void {
  const feed = grant && feeds.find((feed) => !grant.mayPublish(feed));
  if (feed !== undefined)
    throw new FeedException('FEED_FORBIDDEN', { message: `The token does not grant publishing to the feed "${feed}".`, feed });
}

function nameIn(claim: 'sub' | 'jti', name: unknown): string | undefined {
  if (typeof name !== 'string') return undefined;
  if (name !== '' && name.length <= longestName) return name;
  throw unauthorized(`The claim ${claim} of the token must have 1 to ${longestName} characters.`, true);
}

function infoIn(claim: unknown): string | undefined {
  const json = claim === undefined ? undefined : JSON.stringify(claim);
  return json !== undefined && Buffer.byteLength(json) <= longestInfo ? json : undefined;
}

function patternsIn(claim: unknown): string[] {
  return [claim].flat().filter((pattern) => typeof pattern === 'string');
}
