import { errorOf, FeedClientError } from './errors.js';
import type { ResolvedOptions } from './options.js';
import type { FeedClientMessage } from './subscription.js';
import { type Watch, watchOver } from './watch.js';

/** What the server writes in a line: a message, or something about the connection. */
export interface Line extends Partial<FeedClientMessage> {
  readonly position?: string;
  readonly heartbeatMs?: number;
  readonly ended?: readonly string[];
  readonly retry?: number;
  readonly error?: { readonly code: string; readonly message: string };
}

/** The token could not be had: not the server's fault, and not the line's. */
export class TokenError {
  readonly status = 401;

  constructor(readonly cause: unknown) {}
}

/** What a stream fails with whose head came, and nothing behind it: something on the way collects it. */
export const mute = Symbol('mute');

export type Query = readonly (readonly [name: string, value: string])[];

/** How long a server may take for the head of a response, in milliseconds, … */
export const headMs = 20_000;
/** … and something on the way for the first line behind it. */
const muteMs = 5000;
/** How many heartbeats may be missing. */
const missedHeartbeats = 2.5;
/** The most segments of a feed's id that a path has as they are. */
const mostSegments = 4;

/** The URL of a feed, or of several. */
export function urlOf(base: URL, feeds: readonly string[], query: Query): URL {
  const url = new URL(base);
  const [feed = ''] = feeds;
  const path = feed.split('/').length > mostSegments ? encodeURIComponent(feed) : feed;
  if (feeds.length === 1) url.pathname = url.pathname.replace(/\/*$/, `/${path}`);
  else for (const id of feeds) url.searchParams.append('id', id);
  for (const [name, value] of query) url.searchParams.append(name, value);
  return url;
}

/**
 * Sends a request, with the token that is asked for at this moment.
 *
 * @throws TokenError, FeedClientError, and what `fetch` fails with
 */
export async function request({ fetch, token, headers }: ResolvedOptions, url: URL, init: RequestInit): Promise<Response> {
  // All names are in lower case, so that the client's own take the place of the others.
  const all: Record<string, string> = { ...Object.fromEntries(new Headers(headers)), ...(init.headers as Record<string, string>) };
  // It may hang, as what it asks for may.
  const value = await new Promise<string | null | undefined>((resolve, reject) => {
    init.signal?.addEventListener('abort', () => reject(init.signal?.reason));
    Promise.resolve()
      .then(token)
      .then(resolve, (cause) => reject(new TokenError(cause)));
  });
  if (value) all.authorization = `Bearer ${value}`;
  const response = await fetch(url, { cache: 'no-store', ...init, headers: all } as RequestInit);
  if (!response.ok) throw await errorOf(response);
  return response;
}

/** What gets what comes. */
export interface Receiver {
  readonly feeds: readonly string[];
  readonly since: readonly string[];
  readonly signal: AbortSignal;
  onWatch(watch: Watch): void;
  onLine(line: Line): void;
  /** What has to be waited for before more is read; undefined where nothing has to. */
  ready(): Promise<void> | undefined;
}

/**
 * Follows feeds until the response ends.
 *
 * @returns whether all of the feeds had ended before
 * @throws the reason of the signal, `mute`, TokenError, FeedClientError, and what `fetch` fails with
 */
export function stream(options: ResolvedOptions, receiver: Receiver): Promise<boolean> {
  const { onLine, ready } = receiver;
  return ask(options, receiver, [['marks', '1']], options.stallMs || headMs, async ({ status, body, headers }, watch) => {
    if (status === 204) return true;
    if (!body) throw mute;
    // Such as the page where the user of a network has to sign in.
    if (!/json/.test(headers.get('content-type') ?? 'json')) throw new FeedClientError('The answer is no feed.');
    watch.limit(muteMs, mute);
    const reader = body.getReader();
    // Where the response is ending, aborting the request may leave a read of Node's that never settles.
    watch.signal.addEventListener('abort', () => void reader.cancel().catch(() => {}));
    const decoder = new TextDecoder();
    let stallMs = muteMs;
    for (let rest = ''; ; ) {
      const { done, value } = await reader.read();
      if (done) return false;
      watch.hear();
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
      rest = lines.pop() as string;
      for (const text of lines) {
        if (text === '') continue;
        const line = JSON.parse(text) as Line;
        if (line.heartbeatMs !== undefined) {
          stallMs = options.stallMs ?? line.heartbeatMs * missedHeartbeats;
          watch.limit(stallMs);
        }
        onLine(line);
      }
      const wait = ready();
      if (!wait) continue;
      watch.limit(0); // the consumer is what is waited for
      await wait;
      watch.limit(stallMs);
    }
  });
}

/** Asks for feeds, and reads the answer under a watch that begins with this limit, in milliseconds. */
export async function ask<Answer>(
  options: ResolvedOptions,
  { feeds, since, signal, onWatch }: Receiver,
  query: Query,
  limitMs: number,
  read: (response: Response, watch: Watch) => Promise<Answer>,
): Promise<Answer> {
  const watch = watchOver(signal, limitMs);
  onWatch(watch);
  try {
    const url = urlOf(options.url, feeds, [...query, ...since.map((start) => ['since', start] as const)]);
    const response = await request(options, url, { headers: { accept: 'application/x-ndjson' }, signal: watch.signal });
    return await read(response, watch);
  } finally {
    watch.stop();
    watch.signal.throwIfAborted(); // in the place of what it has ended with
  }
}
