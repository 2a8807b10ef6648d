import { backoff } from './backoff.js';
import { isFinal, type Refusal } from './errors.js';
import type { History, HistoryQuery, Published, PublishOptions } from './feed-client.js';
import { check, type ResolvedOptions } from './options.js';
import { type Query, request, TokenError, urlOf } from './request.js';

/** How long a publication is repeated unless it says so, in milliseconds. */
const publishMs = 30_000;

/**
 * Publishes, and repeats it as long as it may help.
 *
 * @param rest the type, where the feed is defined, the data, and the options
 */
export async function publish(options: ResolvedOptions, feed: string, isDefined: boolean, rest: unknown[]): Promise<Published> {
  const [type, data, given = {}] = (isDefined ? rest : [undefined, ...rest]) as [string | undefined, unknown, PublishOptions?];
  check('publish()', given, {
    type: 'string',
    key: 'string',
    expected: 'string',
    timeoutMs: 'number of at least 0',
    signal: 'signal object',
  });
  const { key = makeKey(), expected, timeoutMs = publishMs, signal = null } = given;
  const url = urlOf(options.url, [feed], queryOf({ type: type === 'message' ? undefined : (type ?? given.type), expected }));
  const isText = typeof data === 'string';
  const headers = { 'Content-Type': isText ? 'text/plain' : 'application/json', 'Idempotency-Key': key };
  const until = Date.now() + timeoutMs;
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await answerTo<Published>(options, url, { method: 'POST', headers, body: isText ? data : JSON.stringify(data), signal });
    } catch (error) {
      const { status, retryAfterMs } = error as Refusal;
      const mayHelp = !isFinal(error as Refusal) || (status === 401 && options.hasTokens && attempt === 0);
      const delayMs = retryAfterMs ?? backoff(options, attempt);
      if (!mayHelp || signal?.aborted || Date.now() + delayMs > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, delayMs));
    }
  }
}

export function history(options: ResolvedOptions, feeds: readonly string[], { signal, ...query }: HistoryQuery = {}): Promise<History> {
  check('history()', query, { since: 'string', last: 'number', limit: 'number' });
  return answerTo<History>(options, urlOf(options.url, feeds, queryOf({ mode: 'once', ...query })), { signal: signal ?? null });
}

async function answerTo<Answer>(options: ResolvedOptions, url: URL, init: RequestInit): Promise<Answer> {
  try {
    return (await (await request(options, url, init)).json()) as Answer;
  } catch (error) {
    throw error instanceof TokenError ? error.cause : error;
  }
}

function queryOf(query: Record<string, string | number | undefined>): Query {
  return Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, `${value}`] as const]));
}

/** It has to be unique, not secret: `crypto` is missing in React Native, and in pages without TLS. */
function makeKey(): string {
  return Array.from({ length: 3 }, () => Math.random().toString(36).slice(2)).join('');
}
