import * as v from 'valibot';
import { FeedOptionsError } from '../feed/errors/feed-options.error.js';
import { milliseconds, wholeNumber } from '../feed/errors/option-rules.js';
import { signingKey } from './signature.js';

/** The options of a webhook. */
export interface WebhookOptions {
  /** The `http://` or `https://` URL that events are posted to. A user and password in it are sent as Basic authentication. */
  url: string;
  /**
   * The secret that requests are signed with: `whsec_` and base64 of 24 to 64 random bytes, or any text, whose UTF-8 bytes are the key. With
   * several, a request has the signature of each, so that receivers can change from one to another.
   */
  secret: string | readonly string[];
  /** The most events in one request. Default: 100. */
  batchLength?: number;
  /** How long an event waits for others to share its request, in milliseconds. Default: 100. 0: it does not wait. */
  batchMs?: number;
  /** How many events may be queued while a request is in progress; beyond that, the oldest ones are dropped. Default: 10000. */
  queueLength?: number;
  /** The longest time until a response begins, in milliseconds. Default: 10000. */
  timeoutMs?: number;
  /** The longest delay before the first retry of a request, in milliseconds; it doubles with each further one. Default: 1000. */
  retryMs?: number;
  /** The longest delay before any retry, in milliseconds; a `Retry-After` of the target may be longer. Default: 60000. */
  maxRetryMs?: number;
  /**
   * How often a request may be rejected until its events are dropped. A rejection is any status other than 2xx, and other than 429, 502, 503
   * and 504, which do not depend on the request. Default: 10. 0: it is retried without limit.
   */
  maxRejections?: number;
  /** The longest that a shutdown waits for the remaining events to be sent, in milliseconds. Default: 2000. */
  flushMs?: number;
}

const urlRule = 'must be an http:// or https:// URL';
const secretRule = 'must be a text that is not empty, or whsec_ and base64';

function isTexts(value: unknown): boolean {
  const all = [value].flat();
  return all.length > 0 && all.every((text) => typeof text === 'string');
}

const schema = v.strictObject({
  url: v.pipe(
    v.string(urlRule),
    v.check((url) => /^https?:\/\//i.test(url) && URL.canParse(url), urlRule),
    v.transform((url) => new URL(url)),
  ),
  secret: v.pipe(
    v.custom<string | readonly string[]>(isTexts, secretRule),
    v.transform((secret) => [secret].flat().map(signingKey)),
    v.check((keys) => keys.every((key) => key.length > 0), secretRule),
  ),
  batchLength: v.optional(wholeNumber('events', 1, 10_000), 100),
  batchMs: v.optional(milliseconds(0), 100),
  queueLength: v.optional(wholeNumber('events', 1, 1_000_000), 10_000),
  timeoutMs: v.optional(milliseconds(1), 10_000),
  retryMs: v.optional(milliseconds(1), 1000),
  maxRetryMs: v.optional(milliseconds(1), 60_000),
  maxRejections: v.optional(wholeNumber('times', 0, 1000), 10),
  flushMs: v.optional(milliseconds(0), 2000),
});

/** The options with all defaults; each secret is its signing key. */
export type ResolvedWebhookOptions = Readonly<v.InferOutput<typeof schema>>;

/**
 * Checks the options and applies the defaults; an option that is `undefined` gets its default.
 *
 * @throws FeedOptionsError naming the option, its value (unless that is secret) and what is allowed
 */
export function resolveWebhookOptions(options: WebhookOptions): ResolvedWebhookOptions {
  // A missing option is reported by its own rule, as one that is undefined.
  const result = v.safeParse(schema, Object.assign({ url: undefined, secret: undefined }, options));
  if (!result.success) throw optionsError(result.issues[0]);
  return result.output;
}

function optionsError({ path, expected, message, received }: v.BaseIssue<unknown>): FeedOptionsError {
  const option = path?.map((item) => String(item.key)).join('.') ?? 'options';
  if (expected === 'never') {
    return new FeedOptionsError(`The webhook has no option "${option}"; it has ${Object.keys(schema.entries).join(', ')}`, option);
  }
  const value = option === 'secret' ? '' : `, not ${option === 'url' ? withoutSecrets(received) : received}`;
  return new FeedOptionsError(`The webhook's option "${option}" ${message}${value}`, option);
}

/** Even an invalid URL may contain a password or a token: removes everything up to the last `@`, and the query. */
function withoutSecrets(quoted: string): string {
  return quoted.replace(/[?#].*(?=")/s, '').replace(/(?<=^").*@/s, '');
}
