import type { IncomingMessage } from 'node:http';
import * as v from 'valibot';

/** What a request wants, for those who decide whether it may. */
export interface AuthorizeRequest {
  readonly action: 'read' | 'publish';
  /** The feeds that the request names in its path or query; none where only its body, or your route, says which. */
  readonly feeds: readonly string[];
  readonly method: string;
  /** The path as the client sent it, without the query. */
  readonly path: string;
  /** The request's `Authorization`, or `Bearer` and the token in its URL. */
  readonly authorization: string | undefined;
  /**
   * The request's `Cookie`. Undefined as well where a page of another site, of which `trustedOrigins` knows nothing, publishes or opens a
   * feed by `POST`: with the cookie it would do so in the name of the user.
   */
  readonly cookie: string | undefined;
  /** Node's own request. */
  readonly request: IncomingMessage;
}

/**
 * What is allowed, as the claims of a token say it: one claim or more. With neither `feeds` nor `publish`, that is the action on the feeds
 * that the request names.
 */
export interface FeedClaims {
  /** Feeds that may be read: ids, and beginnings of ids followed by `*`. Default: none, where `publish` is given. */
  readonly feeds?: string | readonly string[] | undefined;
  /** Feeds that may be published to, in the same way. Default: none, where `feeds` is given. */
  readonly publish?: string | readonly string[] | undefined;
  /** Who the client is. Default: unknown. */
  readonly sub?: string | undefined;
  /** Whether the routes of operators are open. Default: false. */
  readonly admin?: boolean | undefined;
  /** When this is over, in seconds since 1970: its connections end then, as `expired`. Default: never. */
  readonly exp?: number | undefined;
  readonly [claim: string]: unknown;
}

/** What a request is answered with: claims; `true`, which allows the action on the named feeds and no other; `false` or nothing, which refuses it. */
export type Authorization = FeedClaims | boolean | null | undefined;

/**
 * Decides what a request may do. What it throws is the answer: an `HttpException` as it is, anything else is logged and answered with 503.
 */
export type AuthorizeFunction = (request: AuthorizeRequest) => Authorization | Promise<Authorization>;

/** An object without any of them is an answer to something else, such as `{ allowed: false }`. */
const known = ['feeds', 'publish', 'sub', 'exp', 'admin'] as const;

const patterns = v.optional(v.union([v.string(), v.array(v.string())]));
const claims = v.looseObject({
  feeds: patterns,
  publish: patterns,
  sub: v.optional(v.string()),
  exp: v.optional(v.number()),
  admin: v.optional(v.boolean()),
});

/** @throws TypeError where a value is neither claims nor a decision */
export function checkAuthorization(value: unknown): FeedClaims | boolean {
  if (value === undefined || value === null) return false;
  if (typeof value === 'boolean') return value;
  const result = v.safeParse(claims, value);
  if (result.success && known.some((claim) => (result.output[claim] ?? false) !== false)) return result.output as FeedClaims;
  throw new TypeError(`the answer must have one or more of the claims ${known.join(', ')}, as a token has them`);
}
