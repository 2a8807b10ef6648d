import { randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { SignJWT } from 'jose';
import * as v from 'valibot';
import { FeedOptionsError } from '../errors/feed-options.error.js';
import { checkOptions, wholeNumber } from '../errors/option-rules.js';
import { AUTH_OPTIONS, nonEmptyText, type ResolvedAuthOptions } from './auth.options.js';
import { longestInfo, longestName } from './grant.js';

/** What a token allows, and for how long. */
export interface FeedTokenRequest {
  /** Feeds that may be read: ids, and beginnings of ids followed by `*`, such as `orders/*`. */
  feeds: string | readonly string[];
  /** Feeds that may be published to, in the same way. Default: none. */
  publish?: string | readonly string[];
  /** How long the token is valid, in seconds. A connection ends with it, as `expired`. Default: 7200, two hours. */
  expiresIn?: number;
  /** Who the token is for: its claim `sub`. 255 characters at most. Default: none. */
  subject?: string;
  /** What `FeedService.presence()` shows of whom the token is for, such as a name: its claim `info`. 1,024 bytes of JSON at most. Default: none. */
  info?: unknown;
  /** Whether it opens the routes of operators (`nestjs-feed/admin`): its claim `admin`. Default: false. */
  admin?: boolean;
}

const rules = {
  expiresIn: wholeNumber('seconds', 1),
  subject: v.optional(v.pipe(nonEmptyText, v.maxLength(longestName, `must have ${longestName} characters at most`))),
  admin: v.optional(v.boolean('must be true or false')),
};
const patternRule = 'an id, or the beginning of ids with a * at its end, without white space';

/** Issues tokens for the clients of an application. */
@Injectable()
export class FeedTokenService {
  constructor(@Inject(AUTH_OPTIONS) private readonly options: ResolvedAuthOptions) {}

  /**
   * Issues a token that every service with the same `jwtSecret` accepts: signed with HS256 and the first secret, with the claims `feeds`,
   * `publish`, `sub`, `info`, `admin`, `iat`, `exp` and `jti`, and with `iss` and `aud` where the options name them.
   *
   * @throws FeedOptionsError without `jwtSecret`, and for values that cannot be granted
   */
  async create({ feeds, publish = [], expiresIn = 7200, subject, info, admin = false }: FeedTokenRequest): Promise<string> {
    const { jwtSecrets, jwtIssuer, jwtAudience } = this.options;
    const [jwtSecret] = jwtSecrets;
    if (jwtSecret === undefined) {
      throw new FeedOptionsError(
        'FeedTokenService signs tokens with the option "jwtSecret"; with "jwksUrl", the issuer of those keys signs them',
        'jwtSecret',
      );
    }
    checkOptions('FeedTokenService', rules, { expiresIn, subject, admin });
    checkInfo(info);
    const now = Math.floor(Date.now() / 1000);
    return new SignJWT({
      feeds: patternsOf('feeds', feeds),
      publish: patternsOf('publish', publish),
      iss: jwtIssuer,
      aud: jwtAudience,
      sub: subject,
      info,
      admin: admin || undefined,
      iat: now,
      exp: now + expiresIn,
      jti: randomUUID(),
    })
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .sign(Buffer.from(jwtSecret));
  }
}

function checkInfo(info: unknown): void {
  const refuse = (rule: string) => new FeedOptionsError(`info ${rule}`, 'info');
  if (info === undefined) return;
  let json: string | undefined;
  try {
    json = JSON.stringify(info);
  } catch (error) {
    throw refuse(`must be JSON: ${(error as Error).message}`);
  }
  if (json === undefined) throw refuse('must be JSON');
  const bytes = Buffer.byteLength(json);
  if (bytes > longestInfo) throw refuse(`may have ${longestInfo} bytes of JSON, not ${bytes}`);
}

function patternsOf(option: 'feeds' | 'publish', value: string | readonly string[]): string[] {
  const patterns = [value].flat();
  for (const pattern of patterns) {
    // A star before the end would stand for itself in a token, which is surely not meant.
    if (typeof pattern !== 'string' || !/^([^\s\p{Cc}*]+\*?|\*)$/u.test(pattern)) {
      throw new FeedOptionsError(`${option} takes patterns: ${patternRule}, not ${JSON.stringify(pattern)}`, option);
    }
  }
  return patterns;
}
