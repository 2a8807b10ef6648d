import * as v from 'valibot';
import { FeedOptionsError } from '../errors/feed-options.error.js';
import type { AuthorizeFunction } from './authorize.js';

/** Which clients may read and publish over the module's own routes, and over routes with `FeedAuthGuard`. */
export interface AuthOptions {
  /**
   * Whether every client may read every feed; publishing then still needs the key or a token. Default: false: reading needs the key or a
   * token, too.
   */
  public?: boolean;
  /**
   * Key that allows its bearer to publish to every feed and to read every feed: one or more visible ASCII characters. It is sent as
   * `Authorization: Bearer <key>`, or as `X-Feed-Key: <key>` where another guard needs `Authorization`. Several are valid at once, so that
   * one can take another's place. Default: none, so that publishing over HTTP needs a token.
   */
  publishKey?: string | readonly string[];
  /**
   * Secret that tokens are signed with (HS256, HS384 or HS512), of 32 bytes or more (RFC 7518 section 3.2). Of several, each verifies, and
   * `FeedTokenService` signs with the first. Default: none. It excludes `jwksUrl` and `authorize`.
   */
  jwtSecret?: string | readonly string[];
  /**
   * URL of the public keys that tokens are verified with: a JSON Web Key Set (RFC 7517). Keys are fetched for the first token and cached
   * for 10 minutes; a token that names an unknown key has the set fetched again, at most once in 30 seconds. Default: none. It excludes
   * `jwtSecret` and `authorize`.
   */
  jwksUrl?: string;
  /**
   * Decides what a request may read and publish, in the place of tokens: a function of yours, or `authorizeAt()`, which asks another
   * service. It is not asked where the publish key comes, nor for what everybody may read. Default: none. It excludes `jwtSecret` and
   * `jwksUrl`.
   */
  authorize?: AuthorizeFunction;
  /** Required `iss` of a token. Default: any. */
  jwtIssuer?: string;
  /** Required `aud` of a token, or one of several. Default: any. */
  jwtAudience?: string;
  /** Name of the cookie that may carry a token. Default: `feed_token`. */
  tokenCookie?: string;
  /** Whether a token may come in the URL, as `?token=`, where proxies and browsers may log it. Default: true. */
  tokenInQuery?: boolean;
  /**
   * Secret that one-time tickets are signed with, of 32 bytes or more; of several, the first signs. All nodes have the same. Default:
   * `jwtSecret`.
   */
  ticketSecret?: string | readonly string[];
  /**
   * Origins whose pages may publish, and open feeds by `POST`, with a cookie: `https://app.example`. Default: `[]`: the service's own alone.
   */
  trustedOrigins?: readonly string[];
}

/** Injects the resolved options. */
export const AUTH_OPTIONS = Symbol('AUTH_OPTIONS');

/** The options with every default filled in; secrets as lists. */
export interface ResolvedAuthOptions extends Readonly<Pick<AuthOptions, 'jwksUrl' | 'jwtIssuer' | 'jwtAudience' | 'authorize'>> {
  readonly public: boolean;
  readonly publishKeys: readonly string[];
  readonly jwtSecrets: readonly string[];
  readonly ticketSecrets: readonly string[];
  readonly tokenCookie: string;
  readonly tokenInQuery: boolean;
  readonly trustedOrigins: readonly string[];
}

const urlRule = 'must be an http or https URL without a user name and a password';
const cookieRule = "must be a cookie's name: A-Z a-z 0-9 and ! # $ % & ' * + - . ^ _ ` | ~";
const originRule =
  'must be origins as browsers send them, such as https://app.example or http://localhost:3000: ' +
  'the scheme, the host in lower case and a port other than the default, without a path, * or null';

export const nonEmptyText = v.pipe(
  v.string('must be a string'),
  v.check((text) => text !== '', 'must be a string of one character or more'),
);

/** The fewest bytes of a secret: those of the hash of HS256 (RFC 7518 section 3.2). */
const leastBytes = 32;

/** The form of a key, and the rule as errors state it. */
export const [keyForm, keyRule] = [/^[\x21-\x7e]+$/, 'must be one or more visible ASCII characters without spaces'] as const;

const publishKey = secrets(keyRule, (key) => keyForm.test(key));
const signingSecret = secrets(
  `must be ${leastBytes} bytes or more (RFC 7518 section 3.2; openssl rand -base64 32 makes one)`,
  (secret) => Buffer.byteLength(secret) >= leastBytes,
);

/** What each option may be. */
export const authOptionRules = {
  public: v.boolean('must be true or false'),
  publishKey,
  jwtSecret: signingSecret,
  jwksUrl: v.pipe(v.string(urlRule), v.check(isFetchable, urlRule)),
  authorize: v.custom<AuthorizeFunction>((value) => typeof value === 'function', 'must be a function, such as authorizeAt() returns'),
  jwtIssuer: nonEmptyText,
  jwtAudience: nonEmptyText,
  // RFC 6265 section 4.1.1: a cookie's name is a token
  tokenCookie: v.pipe(v.string(cookieRule), v.regex(/^[\w!#$%&'*+.^`|~-]+$/, cookieRule)),
  tokenInQuery: v.boolean('must be true or false'),
  ticketSecret: signingSecret,
  trustedOrigins: v.array(v.pipe(v.string(originRule), v.check(isOrigin, originRule)), originRule),
};

/** One secret or several. Errors are logged, and a mistyped secret gives the secret away: it is not shown. */
function secrets(rule: string, isValid: (secret: string) => boolean) {
  return v.pipe(
    v.custom<string | readonly string[]>(() => true),
    v.rawTransform<string | readonly string[], readonly string[]>(({ dataset, addIssue, NEVER }) => {
      const all: readonly unknown[] = [dataset.value].flat();
      const areValid = all.length > 0 && all.every((secret) => typeof secret === 'string' && isValid(secret));
      if (areValid) return all as readonly string[];
      addIssue({ message: Array.isArray(dataset.value) ? `${rule}, each of one or more` : rule, received: 'what was given' });
      return NEVER;
    }),
  );
}

/** `fetch` rejects URLs with credentials. */
export function isFetchable(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const { protocol, username, password } = new URL(value);
  return /^https?:$/.test(protocol) && username === '' && password === '';
}

/** Whether a text is an origin as browsers write it in `Origin` (RFC 6454 section 6.2); of schemes that they do not know, as it looks. */
function isOrigin(value: string): boolean {
  if (!/^[a-z][a-z\d+.-]*:\/\/[^\s/?#@*,]+$/.test(value) || !URL.canParse(value)) return false;
  return !/^https?:/.test(value) || new URL(value).origin === value;
}

/** The options as they are checked: secrets as lists. */
type CheckedAuthOptions = {
  readonly [Option in keyof typeof authOptionRules]?: v.InferOutput<(typeof authOptionRules)[Option]> | undefined;
};

/**
 * Checks the options against each other and fills in the defaults.
 *
 * @param hasTickets whether tickets are issued
 * @throws FeedOptionsError for two ways to verify tokens, for rules about tokens without a key, and for tickets without a secret
 */
export function resolveAuthOptions(options: CheckedAuthOptions, hasTickets = false): ResolvedAuthOptions {
  const { publishKey = [], jwtSecret = [], ticketSecret, jwksUrl, jwtIssuer, jwtAudience, authorize } = options;
  const ways = (['jwtSecret', 'jwksUrl', 'authorize'] as const).filter((option) => options[option] !== undefined);
  if (ways.length > 1) {
    const [one, other] = ways as [string, string];
    throw new FeedOptionsError(`FeedModule authorizes requests by "${one}" or by "${other}": give one of the two`, other);
  }
  if (jwtSecret.length === 0 && jwksUrl === undefined) {
    // An issuer without a key would look like a check that is never made.
    const lonely = (['jwtIssuer', 'jwtAudience'] as const).find((option) => options[option] !== undefined);
    if (lonely) throw new FeedOptionsError(`FeedModule's option "${lonely}" needs "jwtSecret" or "jwksUrl" too`, lonely);
  }
  const ticketSecrets = ticketSecret ?? jwtSecret;
  if (hasTickets && ticketSecrets.length === 0) {
    throw new FeedOptionsError('FeedModule\'s option "tickets" needs "jwtSecret" or "ticketSecret", which signs them', 'tickets');
  }
  if (!hasTickets && ticketSecret) {
    throw new FeedOptionsError('FeedModule\'s option "ticketSecret" needs "tickets" too', 'ticketSecret');
  }
  return {
    public: options.public ?? false,
    publishKeys: publishKey,
    jwtSecrets: jwtSecret,
    ticketSecrets: hasTickets ? ticketSecrets : [],
    jwksUrl,
    jwtIssuer,
    jwtAudience,
    authorize,
    tokenCookie: options.tokenCookie ?? 'feed_token',
    tokenInQuery: options.tokenInQuery ?? true,
    trustedOrigins: options.trustedOrigins ?? [],
  };
}
