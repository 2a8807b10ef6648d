import { errorOf, FeedClientError } from './errors.js';
import type { ResolvedOptions } from './options.js';
import type { FeedClientMessage } from './subscription.js';

/** What the server writes in a line: a message, or something about the connection. */
export interface Line {
  readonly id?: string;
  readonly feed?: string;
  readonly type?: string;
  readonly data?: unknown;
  readonly time?: number;
  readonly position?: string;
  readonly heartbeatMs?: number;
  readonly ended?: readonly string[];
  readonly retry?: number;
  readonly error?: { readonly code: string; readonly message: string };
}

/** The answer to a long poll. */
export interface PollAnswer {
  readonly messages: readonly FeedClientMessage[];
  readonly position: string;
  readonly reset?: boolean;
  readonly ended?: object;
}

/** The token could not be had: not the server's fault, and not the line's. */
export class TokenError {
  constructor(readonly cause: unknown) {}
}

/** The head of a response came, and nothing behind it: something on the way collects it. */
export class MuteError extends FeedClientError {}

/** How long a server may take for the head of a response, and something on the way for the first line behind it, in milliseconds. */
const [headMs, muteMs] = [20_000, 5000];
/** How many heartbeats may be missing. */
const missedHeartbeats = 2.5;

/** The most segments of a feed's id that a path has as they are. */
const mostSegments = 4;

/**
 * The URL of a feed, or of several.
 *
 * @param needsPath whether a feed has to be named by the path, and not by the query
 */
export function urlOf(base: URL, feeds: readonly string[], query: readonly (readonly [string, string])[] = [], needsPath = false): URL {
  const url = new URL(base);
  const [feed = ''] = feeds;
  const isShort = feed.split('/').length <= mostSegments;
  const isPath = feeds.length === 1 && (isShort || needsPath);
  if (isPath) url.pathname += `/${isShort ? feed : encodeURIComponent(feed)}`;
  for (const [name, value] of [...(isPath ? [] : feeds.map((id) => ['id', id] as const)), ...query]) url.searchParams.append(name, value);
  return url;
}

/**
 * Sends a request, with the token that is asked for at this moment.
 *
 * @throws TokenError, FeedClientError, and what `fetch` fails with
 */
export async function request({ fetch, token, headers }: ResolvedOptions, url: URL, init: RequestInit): Promise<Response> {
  const all: Record<string, string> = { ...headers, ...(init.headers as Record<string, string>) };
  const value = await Promise.resolve()
    .then(token)
    .catch((error) => {
      throw new TokenError(error);
    });
  if (value) all.Authorization = `Bearer ${value}`;
  const response = await fetch(url, { cache: 'no-store', ...init, headers: all } as RequestInit);
  if (!response.ok) throw await errorOf(response);
  return response;
}

/** Ends a connection on which nothing has come for too long, without a timer for each byte. */
export class Watch {
  private readonly controller = new AbortController();
  readonly signal: AbortSignal = this.controller.signal;
  private heardAt = Date.now();
  private timer: ReturnType<typeof setTimeout> | undefined = undefined;
  private readonly abortWith: () => void;

  /** @param signal ends the connection as well */
  constructor(
    private readonly outer: AbortSignal,
    private limitMs: number,
    private error: unknown,
  ) {
    this.abortWith = () => this.abort(outer.reason);
    if (outer.aborted) this.abortWith();
    else outer.addEventListener('abort', this.abortWith);
    this.look();
  }

  /** Something has come. */
  hear(): void {
    this.heardAt = Date.now();
  }

  /** From now on, silence of another length ends it; 0 for none. */
  limit(limitMs: number, error: unknown): void {
    this.hear();
    this.limitMs = limitMs;
    this.error = error;
    clearTimeout(this.timer);
    this.look();
  }

  /** Ends the connection if its time is over: timers stand still while a computer sleeps. */
  readonly look = (): void => {
    if (this.limitMs === 0) return;
    const leftMs = this.limitMs - (Date.now() - this.heardAt);
    clearTimeout(this.timer);
    if (leftMs > 0) this.timer = setTimeout(this.look, leftMs);
    else this.abort(this.error);
  };

  /** Does not look while the consumer is what is waited for. */
  async suspend(wait: Promise<void>): Promise<void> {
    const { limitMs } = this;
    this.limit(0, this.error);
    await wait;
    this.limit(limitMs, this.error);
  }

  abort(reason: unknown): void {
    this.controller.abort(reason);
  }

  stop(): void {
    clearTimeout(this.timer);
    this.outer.removeEventListener('abort', this.abortWith);
  }
}

/** What is asked for, and what gets it. */
export interface StreamRequest {
  readonly feeds: readonly string[];
  readonly since: readonly string[];
  readonly signal: AbortSignal;
  readonly onLine: (line: Line) => void;
  /** What has to be waited for before more is read; undefined where nothing has to. */
  readonly ready: () => Promise<void> | undefined;
  /** Gets what watches over the connection. */
  readonly onWatch?: (watch: Watch) => void;
}

/**
 * Follows feeds until the response ends.
 *
 * @returns whether all of the feeds had ended before
 * @throws the reason of the signal, MuteError, TokenError, FeedClientError, and what `fetch` fails with
 */
export async function stream(options: ResolvedOptions, { feeds, since, signal, onLine, ready, onWatch }: StreamRequest): Promise<boolean> {
  const watch = new Watch(signal, headMs, new FeedClientError('The server does not answer.'));
  onWatch?.(watch);
  try {
    const query = [['marks', '1'] as const, ...since.map((start) => ['since', start] as const)];
    const headers = { Accept: 'application/x-ndjson' };
    const response = await request(options, urlOf(options.url, feeds, query), { headers, signal: watch.signal });
    if (response.status === 204) return true;
    const mute = new MuteError('The head of the response came, and nothing behind it.');
    if (!response.body) throw mute;
    watch.limit(muteMs, mute);
    await readLines(response.body, watch, ready, (line) => {
      if (line.heartbeatMs !== undefined) {
        const stallMs = options.stallMs ?? line.heartbeatMs * missedHeartbeats;
        watch.limit(stallMs, new FeedClientError('The line is dead: nothing came, not even heartbeats.'));
      }
      onLine(line);
    });
    return false;
  } catch (error) {
    throw watch.signal.aborted ? watch.signal.reason : error;
  } finally {
    watch.stop();
  }
}

/** Reads lines as they come. */
async function readLines(
  body: ReadableStream<Uint8Array>,
  watch: Watch,
  ready: () => Promise<void> | undefined,
  onLine: (line: Line) => void,
): Promise<void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    watch.hear();
    const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
    rest = lines.pop() as string;
    for (const line of lines) if (line) onLine(JSON.parse(line) as Line);
    const wait = ready();
    if (wait) await watch.suspend(wait);
  }
}

/**
 * Waits for the next messages, and takes them as one answer.
 *
 * @param waitSeconds how long the server may wait for them
 */
export async function poll(
  options: ResolvedOptions,
  { feeds, since, signal, onWatch }: Omit<StreamRequest, 'onLine' | 'ready'>,
  waitSeconds: number,
): Promise<PollAnswer> {
  const watch = new Watch(signal, headMs + waitSeconds * 1000, new FeedClientError('The server does not answer.'));
  onWatch?.(watch);
  try {
    const query = [['mode', 'poll'] as const, ['wait', `${waitSeconds}`] as const, ...since.map((start) => ['since', start] as const)];
    const response = await request(options, urlOf(options.url, feeds, query), { signal: watch.signal });
    return (await response.json()) as PollAnswer;
  } catch (error) {
    throw watch.signal.aborted ? watch.signal.reason : error;
  } finally {
    watch.stop();
  }
}
