import * as v from 'valibot';
import { FeedOptionsError } from '../errors/feed-options.error.js';

/** Which clients may read and publish over the module's own routes, and over routes with `FeedAuthGuard`. */
export interface AuthOptions {
  /**
   * Whether every client may read every feed; publishing then still needs the key or a token. Default: false: reading needs the key or a
   * token, too.
   */
  public?: boolean;
  /**
   * Key that allows its bearer to publish to every feed and to read every feed: one or more visible ASCII characters. It is sent as
   * `Authorization: Bearer <key>`, or as `X-Feed-Key: <key>` where another guard needs `Authorization`. Default: none, so that publishing
   * over HTTP needs a token.
   */
  publishKey?: string;
  /**
   * Secret that tokens are signed with (HS256, HS384 or HS512). RFC 7518 section 3.2 asks for at least 32 bytes. Default: none. It
   * excludes `jwksUrl`.
   */
  jwtSecret?: string;
  /**
   * URL of the public keys that tokens are verified with: a JSON Web Key Set (RFC 7517). Keys are fetched for the first token and cached
   * for 10 minutes; a token that names an unknown key has the set fetched again, at most once in 30 seconds. Default: none. It excludes
   * `jwtSecret`.
   */
  jwksUrl?: string;
  /** Required `iss` of a token. Default: any. */
  jwtIssuer?: string;
  /** Required `aud` of a token, or one of several. Default: any. */
  jwtAudience?: string;
  /** Name of the cookie that may carry a token. Default: `feed_token`. */
  tokenCookie?: string;
}

/** Injects the resolved options. */
export const AUTH_OPTIONS = Symbol('AUTH_OPTIONS');

/** The options with every default filled in. */
export type ResolvedAuthOptions = Readonly<AuthOptions & { public: boolean; tokenCookie: string }>;

const keyRule = 'must be one or more visible ASCII characters without spaces';
const urlRule = 'must be an http or https URL without a user name and a password';
const cookieRule = "must be a cookie's name: A-Z a-z 0-9 and ! # $ % & ' * + - . ^ _ ` | ~";

export const nonEmptyText = v.pipe(
  v.string('must be a string'),
  v.check((text) => text !== '', 'must be a string of one character or more'),
);

/** What each option may be. */
export const authOptionRules = {
  public: v.boolean('must be true or false'),
  publishKey: v.pipe(
    v.string(keyRule),
    v.rawCheck(({ dataset, addIssue }) => {
      // Errors are logged, and a mistyped key gives the key away.
      if (dataset.typed && !/^[\x21-\x7e]+$/.test(dataset.value)) addIssue({ message: keyRule, received: 'what was given' });
    }),
  ),
  jwtSecret: nonEmptyText,
  jwksUrl: v.pipe(v.string(urlRule), v.check(isFetchable, urlRule)),
  jwtIssuer: nonEmptyText,
  jwtAudience: nonEmptyText,
  // RFC 6265 section 4.1.1: a cookie's name is a token
  tokenCookie: v.pipe(v.string(cookieRule), v.regex(/^[\w!#$%&'*+.^`|~-]+$/, cookieRule)),
};

/** `fetch` rejects URLs with credentials. */
function isFetchable(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const { protocol, username, password } = new URL(value);
  return /^https?:$/.test(protocol) && username === '' && password === '';
}

/**
 * Checks the options against each other and fills in the defaults.
 *
 * @throws FeedOptionsError for two kinds of keys, and for rules about tokens without a key
 */
export function resolveAuthOptions(options: AuthOptions): ResolvedAuthOptions {
  const { public: isPublic = false, publishKey, jwtSecret, jwksUrl, jwtIssuer, jwtAudience, tokenCookie } = options;
  if (jwtSecret !== undefined && jwksUrl !== undefined) {
    throw new FeedOptionsError('FeedModule verifies tokens with "jwtSecret" or with the keys at "jwksUrl": give one of the two', 'jwksUrl');
  }
  if (jwtSecret === undefined && jwksUrl === undefined) {
    // An issuer without a key would look like a check that is never made.
    const lonely = (['jwtIssuer', 'jwtAudience'] as const).find((option) => options[option] !== undefined);
    if (lonely) throw new FeedOptionsError(`FeedModule's option "${lonely}" needs "jwtSecret" or "jwksUrl" too`, lonely);
  }
  return { public: isPublic, publishKey, jwtSecret, jwksUrl, jwtIssuer, jwtAudience, tokenCookie: tokenCookie ?? 'feed_token' };
}

/** Whether a secret is shorter than the 32 bytes that HS256 asks for (RFC 7518 section 3.2), and so is easier to guess. */
export function isWeakSecret(secret: string): boolean {
  return Buffer.byteLength(secret) < 32;
}
