/** Where positions are kept across page loads: `sessionStorage` or `localStorage`. */
export interface FeedStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

/** A token, or what gives one: asked before each connection, and again when the server does not take it any more. */
export type TokenSource = string | (() => string | null | undefined | Promise<string | null | undefined>);

export interface FeedClientOptions {
  /** The route of the feeds, such as `https://api.example.com/feeds`; in a page it may be relative to it. */
  url: string | URL;
  /** What `Authorization: Bearer` has. It never becomes a part of a URL. Default: none. */
  token?: TokenSource;
  /** Headers of each request. Default: none. */
  headers?: Readonly<Record<string, string>>;
  /**
   * Delays before the client reconnects: at random from half of a delay to all of it, which begins at `minMs` and doubles up to `maxMs`, in
   * milliseconds. What the server says (`Retry-After`, `retry`) takes precedence. Default: 1000 and 30000.
   */
  retry?: { readonly minMs?: number; readonly maxMs?: number };
  /** Silence after which the line counts as dead, in milliseconds. Default: 2.5 of the server's heartbeats. 0: never. */
  stallMs?: number;
  /** Whether all tabs of an origin use one connection, where the browser has Web Locks and `BroadcastChannel`. Default: false. */
  share?: boolean;
  /** Where the client keeps its positions across page loads. Default: nowhere. */
  resume?: FeedStorage;
  /**
   * Called when messages of a feed are lost: load its state, and resolve with the position of that state (`client.position(feed)` before it is
   * loaded). Messages up to there are skipped, and later ones wait meanwhile. Default: none; the feed yields a message of the type `reset`.
   */
  onReset?: (feed: string) => unknown;
  /** Whether messages of defined feeds are checked against their schemas, as the server has done. Default: false. */
  validate?: boolean;
  /** Default: `fetch`. */
  fetch?: typeof fetch;
}

export interface ResolvedOptions {
  readonly url: URL;
  readonly token: () => string | null | undefined | Promise<string | null | undefined>;
  readonly hasTokens: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly retry: { readonly minMs: number; readonly maxMs: number };
  readonly stallMs: number | undefined;
  readonly share: boolean;
  readonly resume: FeedStorage | undefined;
  readonly onReset: ((feed: string) => Promise<string | undefined>) | undefined;
  readonly validate: boolean;
  readonly fetch: typeof fetch;
}

const names = ['url', 'token', 'headers', 'retry', 'stallMs', 'share', 'resume', 'onReset', 'validate', 'fetch'];

/**
 * Checks the options of a client.
 *
 * @throws TypeError that names the option, and says what it may be
 */
export function resolveOptions(options: FeedClientOptions): ResolvedOptions {
  const check = (isValid: boolean, name: string, rule: string) => {
    if (!isValid) throw new TypeError(`createFeedClient(): ${name} ${rule}`);
  };
  const isMs = (value: unknown) => Number.isFinite(value) && (value as number) >= 0;
  const is = (type: string, value: unknown) => value === undefined || typeof value === type;
  check(typeof options === 'object' && options !== null, 'its argument', 'must be an object of options');
  for (const name of Object.keys(options)) check(names.includes(name), name, `is no option; the options are ${names.join(', ')}`);
  const { url, token, headers = {}, retry = {}, stallMs, share, resume, onReset, validate, fetch = globalThis.fetch } = options;
  const { minMs = 1000, maxMs = Math.max(30_000, minMs) } = retry ?? {};
  const resolved = resolveUrl(url);
  check(resolved !== undefined, 'url', 'must be the URL of the feeds, such as https://api.example.com/feeds');
  check(is('string', token) || is('function', token), 'token', 'must be a string, or a function that returns one');
  check(is('object', headers) && headers !== null, 'headers', 'must be an object');
  check(is('object', retry) && isMs(minMs) && isMs(maxMs) && minMs <= maxMs, 'retry', 'must be { minMs, maxMs }, in milliseconds');
  check(stallMs === undefined || isMs(stallMs), 'stallMs', 'must be a number of milliseconds, or 0');
  check(is('boolean', share), 'share', 'must be true or false');
  check(is('boolean', validate), 'validate', 'must be true or false');
  check(resume === undefined || is('function', resume?.getItem), 'resume', 'must be a storage, such as sessionStorage');
  check(is('function', onReset), 'onReset', 'must be a function');
  check(typeof fetch === 'function', 'fetch', 'must be a function');
  return {
    ...{ url: resolved as URL, headers, retry: { minMs, maxMs }, stallMs, resume },
    ...{ share: share ?? false, validate: validate ?? false },
    token: typeof token === 'function' ? token : () => token,
    hasTokens: typeof token === 'function',
    onReset: onReset && (async (feed) => asPosition(await onReset(feed))),
    fetch: (...args) => fetch(...args), // a browser's must not be called as a method of something else
  };
}

function asPosition(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function resolveUrl(url: unknown): URL | undefined {
  try {
    const resolved = new URL(url as string, (globalThis as { location?: { href: string } }).location?.href);
    resolved.pathname = resolved.pathname.replace(/\/+$/, '');
    return /^https?:$/.test(resolved.protocol) ? resolved : undefined;
  } catch {
    return undefined;
  }
}
