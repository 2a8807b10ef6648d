import * as v from 'valibot';
import { FeedOptionsError } from '../errors/feed.errors.js';

/** The options that decide who may read and publish. Without `jwtSecret` and `jwksUrl` anyone may read. */
export interface AuthOptions {
  /**
   * Key that lets its bearer (`Authorization: Bearer <key>`) publish to every feed and read every feed: one or more visible
   * ASCII characters. Default: none, so that publishing over HTTP needs a token.
   */
  publishKey?: string;
  /**
   * Secret that tokens are signed with (HS256, HS384 or HS512): reading and publishing need a token from then on.
   * RFC 7518 section 3.2 asks for at least 32 bytes. Default: none. Not together with `jwksUrl`.
   */
  jwtSecret?: string;
  /**
   * Where the public keys are that tokens are verified with, as a JSON Web Key Set (RFC 7517): reading and publishing need a
   * token from then on. Keys are fetched when the first token comes and kept for 10 minutes; a token that names a key which is
   * not among them has the set fetched anew, at most once in 30 seconds. Default: none. Not together with `jwtSecret`.
   */
  jwksUrl?: string;
  /** What a token's `iss` must be. Default: anything. */
  jwtIssuer?: string;
  /** What must be a token's `aud`, or among its values. Default: anything. */
  jwtAudience?: string;
  /** Name of the cookie that a token may come in. Default: `feed_token`. */
  tokenCookie?: string;
}

/** The options with every default filled in. */
export type ResolvedAuthOptions = Readonly<AuthOptions & { tokenCookie: string }>;

const keyRule = 'must be one or more visible ASCII characters without spaces';
const urlRule = 'must be an http or https URL without a user name and a password';
const cookieRule = "must be a cookie's name: A-Z a-z 0-9 and ! # $ % & ' * + - . ^ _ ` | ~";

const text = v.pipe(v.string('must be a string'), v.nonEmpty('must be a string of one character or more'));

/** What each option may be. */
export const authOptionRules = {
  publishKey: v.pipe(
    v.string(keyRule),
    v.rawCheck(({ dataset, addIssue }) => {
      // An error is likely to be logged, and what is nearly the key is as secret as the key.
      if (dataset.typed && !/^[\x21-\x7e]+$/.test(dataset.value)) addIssue({ message: keyRule, received: 'what was given' });
    }),
  ),
  jwtSecret: text,
  jwksUrl: v.pipe(v.string(urlRule), v.check(isFetchable, urlRule)),
  jwtIssuer: text,
  jwtAudience: text,
  // RFC 6265 section 4.1.1: a cookie's name is a token
  tokenCookie: v.pipe(v.string(cookieRule), v.regex(/^[\w!#$%&'*+.^`|~-]+$/, cookieRule)),
};

/** `fetch` refuses URLs with credentials in them. */
function isFetchable(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const { protocol, username, password } = new URL(value);
  return /^https?:$/.test(protocol) && username === '' && password === '';
}

/**
 * Checks what the options say together, each having been checked by itself, and fills in the defaults.
 *
 * @throws FeedOptionsError for two kinds of keys, and for rules about tokens without any key
 */
export function resolveAuthOptions(options: AuthOptions): ResolvedAuthOptions {
  const { publishKey, jwtSecret, jwksUrl, jwtIssuer, jwtAudience, tokenCookie } = options;
  if (jwtSecret !== undefined && jwksUrl !== undefined) {
    throw new FeedOptionsError(
      'FeedModule takes tokens signed with "jwtSecret" or with the keys at "jwksUrl": give one of the two, not both',
      'jwksUrl',
    );
  }
  if (jwtSecret === undefined && jwksUrl === undefined) {
    // Whoever names an issuer believes that tokens are asked for.
    const lonely = (['jwtIssuer', 'jwtAudience'] as const).find((option) => options[option] !== undefined);
    if (lonely) throw new FeedOptionsError(`FeedModule's option "${lonely}" needs "jwtSecret" or "jwksUrl" beside it`, lonely);
  }
  return { publishKey, jwtSecret, jwksUrl, jwtIssuer, jwtAudience, tokenCookie: tokenCookie ?? 'feed_token' };
}

/** Whether a secret is shorter than the 32 bytes that HS256 asks for (RFC 7518 section 3.2), and so is easier to guess. */
export function isWeakSecret(secret: string): boolean {
  return Buffer.byteLength(secret) < 32;
}
