import * as v from 'valibot';
import { signingKey } from './signature.js';
import { WebhookOptionsError } from './webhook.errors.js';

/** Where a webhook sends events, and how hard it tries. */
export interface WebhookOptions {
  /** Where events are posted to: an `http://` or `https://` URL. A user and a password in it are sent as Basic authentication. */
  url: string;
  /** What requests are signed with: `whsec_` and base64 of 24 to 64 random bytes, or any text, of which the UTF-8 bytes are the key. */
  secret: string;
  /** The most events in one request. Default: 100. */
  batchLength?: number;
  /** How long a first event waits for others to share its request, in milliseconds. Default: 100. 0: no longer than a turn. */
  batchMs?: number;
  /** How many events may wait behind those of the request under way; beyond, the oldest are dropped. Default: 10000. */
  queueLength?: number;
  /** The longest that a request may take until its answer begins, in milliseconds. Default: 10000. */
  timeoutMs?: number;
  /** The longest wait before a request's first retry, in milliseconds; each further one may be twice as long. Default: 1000. */
  retryMs?: number;
  /** The longest wait before any retry that the target did not ask for with `Retry-After`, in milliseconds. Default: 60000. */
  maxRetryMs?: number;
  /**
   * How often a request may be refused until its events are dropped: answered with another status than 2xx, and than 429, 502, 503 and
   * 504, which say nothing about the request. Default: 10. 0: any number of times.
   */
  refusals?: number;
  /** The longest that a shutdown waits for the target to take what is left, in milliseconds. Default: 2000. */
  flushMs?: number;
}

const whole = (unit: string, least: number, most: number) => {
  const rule = `must be a whole number of ${unit} from ${least} to ${most}`;
  return v.pipe(v.number(rule), v.safeInteger(rule), v.minValue(least, rule), v.maxValue(most, rule));
};

/** A timer's longest delay is 2³¹ − 1 ms: beyond it Node falls back to 1 ms. */
const milliseconds = (least: number) => whole('milliseconds', least, 2 ** 31 - 1);

const urlRule = 'must be an http:// or https:// URL';
const secretRule = 'must be a text that is not empty, or whsec_ and base64';

const schema = v.strictObject({
  url: v.pipe(
    v.string(urlRule),
    v.check((url) => /^https?:\/\//i.test(url) && URL.canParse(url), urlRule),
    v.transform((url) => new URL(url)),
  ),
  secret: v.pipe(
    v.string(secretRule),
    v.transform(signingKey),
    v.check((key) => key.length > 0, secretRule),
  ),
  batchLength: v.optional(whole('events', 1, 10_000), 100),
  batchMs: v.optional(milliseconds(0), 100),
  queueLength: v.optional(whole('events', 1, 1_000_000), 10_000),
  timeoutMs: v.optional(milliseconds(1), 10_000),
  retryMs: v.optional(milliseconds(1), 1000),
  maxRetryMs: v.optional(milliseconds(1), 60_000),
  refusals: v.optional(whole('times', 0, 1000), 10),
  flushMs: v.optional(milliseconds(0), 2000),
});

/** The options with every default filled in; the secret is the key that it stands for. */
export type ResolvedWebhookOptions = Readonly<v.InferOutput<typeof schema>>;

/**
 * Checks the options and fills in the defaults; an option that is `undefined` gets its default.
 *
 * @throws WebhookOptionsError naming the option, what it was (but for secrets) and what is allowed
 */
export function resolveWebhookOptions(options: WebhookOptions): ResolvedWebhookOptions {
  // An option that is missing is told of by its own rule, as one that is undefined.
  const result = v.safeParse(schema, Object.assign({ url: undefined, secret: undefined }, options));
  if (!result.success) throw WebhookOptionsError.from(result.issues, Object.keys(schema.entries));
  return result.output;
}
