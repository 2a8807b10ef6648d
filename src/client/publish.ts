import { backoff } from './backoff.js';
import { isFinal, type Refusal } from './errors.js';
import { type Feed, idOf, isRef } from './feed-id.js';
import { check, type ResolvedOptions } from './options.js';
import { headMs, type Query, request, TokenError, urlOf } from './request.js';
import type { FeedClientMessage } from './subscription.js';
import { watchOver } from './watch.js';

export interface PublishOptions {
  /** The type of the message. Default: none. */
  readonly type?: string;
  /** What names the publication, so that it is stored once however often it is repeated. Default: one that is made for it. */
  readonly key?: string;
  /** Publishes only where the feed has no message after this position. */
  readonly expected?: string;
  /** How long it is repeated while the server cannot be reached, in milliseconds. Default: 30000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** A message that was published. */
export interface Published {
  readonly id: string;
  readonly feed: string;
  /** How many subscribers the feed has in the process that answered. */
  readonly subscribers: number;
}

export interface HistoryQuery {
  /** Where to begin. Default: `earliest`. */
  readonly since?: string;
  /** How many of the last messages, 1 to 1000, of each feed; it excludes `since`. */
  readonly last?: number;
  /** The most messages, 1 to 1000. Default: 1000. */
  readonly limit?: number;
  /** How long the request is repeated while the server cannot be reached, in milliseconds. Default: 30000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface History<Message = FeedClientMessage> {
  readonly messages: readonly Message[];
  /** Where to go on from, with `since`. */
  readonly position: string;
  /** Present where messages after `since` are gone. */
  readonly reset?: true;
  /** How the feeds have ended, where nothing comes behind the messages. */
  readonly ended?: { readonly reason: 'completed' | 'failed' | 'stopped'; readonly message?: string };
}

/** Of a caller that has none. */
const never = new AbortController().signal;
/** How long a request is repeated unless it says so, in milliseconds. */
const repeatMs = 30_000;

/**
 * Publishes, and repeats it as long as it may help.
 *
 * @param rest the type, where the feed is defined, the data, and the options
 */
export async function publish(options: ResolvedOptions, feed: Feed, ...rest: unknown[]): Promise<Published> {
  const [type, data, given = {}] = (isRef(feed) ? rest : [undefined, ...rest]) as [string | undefined, unknown, PublishOptions?];
  check('publish', given, {
    type: 'string',
    key: 'string',
    expected: 'string',
    timeoutMs: 'number >= 0',
    signal: 'signal object',
  });
  const { key = makeKey(), expected, timeoutMs, signal = never } = given;
  const id = idOf(feed);
  const named = type === 'message' ? undefined : (type ?? given.type);
  const isText = typeof data === 'string';
  const body = isText ? data : JSON.stringify(data);
  const headers = { 'content-type': isText ? 'text/plain' : 'application/json', 'idempotency-key': key };
  const post = <Answer>(feeds: string[], query: Query, content: string) =>
    repeated<Answer>(options, urlOf(options.url, feeds, query), { method: 'POST', headers, body: content }, signal, timeoutMs);
  // Express takes no JSON but objects and arrays, unless the application has it do so: 7, true and null are sent within an object.
  if (isText || /^[[{]/.test(body) || expected !== undefined) return post<Published>([id], queryOf({ type: named, expected }), body);
  const { messages } = await post<{ messages: [Published] }>([], [], JSON.stringify({ feeds: [id], type: named, data }));
  return messages[0];
}

export async function history(options: ResolvedOptions, feeds: Feed | readonly Feed[], given: HistoryQuery = {}): Promise<History> {
  check('history', given, { since: 'string', last: 'number', limit: 'number', timeoutMs: 'number >= 0', signal: 'signal object' });
  const { signal = never, timeoutMs, ...query } = given;
  const url = urlOf(options.url, ([feeds].flat() as Feed[]).map(idOf), queryOf({ mode: 'once', ...query }));
  return repeated<History>(options, url, {}, signal, timeoutMs);
}

export async function position(
  options: ResolvedOptions,
  feeds: Feed | readonly Feed[],
  given?: Pick<HistoryQuery, 'timeoutMs' | 'signal'>,
): Promise<string> {
  return (await history(options, feeds, { ...given, last: 1 })).position;
}

/** Sends a request, and repeats it as long as it may help. */
async function repeated<Answer>(
  options: ResolvedOptions,
  url: URL,
  init: RequestInit,
  signal: AbortSignal,
  timeoutMs = repeatMs,
): Promise<Answer> {
  const until = Date.now() + timeoutMs;
  /** Whether the token that is asked for next may be another one than that which was refused. */
  let mayRenew = options.hasTokens;
  for (let attempt = 0; ; attempt += 1) {
    const watch = watchOver(signal, Math.max(1, Math.min(headMs, until - Date.now())));
    try {
      return (await (await request(options, url, { ...init, signal: watch.signal })).json()) as Answer;
    } catch (failure) {
      signal.throwIfAborted();
      const error = watch.signal.aborted ? watch.signal.reason : failure instanceof TokenError ? failure.cause : failure;
      const { status, retryAfterMs } = (error ?? {}) as Refusal;
      const isExpired = status === 401 && mayRenew;
      const mayHelp = !isFinal({ status }) || isExpired;
      if (isExpired) mayRenew = false;
      const delayMs = retryAfterMs ?? backoff(options, attempt);
      if (!mayHelp || Date.now() + delayMs > until) throw error;
      await wait(delayMs, signal);
      signal.throwIfAborted();
    } finally {
      watch.stop();
    }
  }
}

/** Resolves after a delay, or once the signal is aborted. */
function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
  });
}

function queryOf(query: Record<string, string | number | undefined>): Query {
  return Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, `${value}`] as const]));
}

/** It has to be unique, not secret: `crypto` is missing in React Native, and in pages without TLS. */
function makeKey(): string {
  return Array.from({ length: 3 }, () => Math.random().toString(36).slice(2)).join('');
}
