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
  /** Headers of each request: an object, or `Headers`. Default: none. */
  headers?: Readonly<Record<string, string>> | Headers;
  /**
   * Delays before the client reconnects: at random from half of a delay to all of it, which begins at `minMs` and doubles up to `maxMs`, in
   * milliseconds. What the server says (`Retry-After`, `retry`) takes precedence. Default: 1000 and 30000.
   */
  retry?: { readonly minMs?: number; readonly maxMs?: number };
  /** Silence after which the connection counts as dead, in milliseconds. Default: 2.5 of the server's heartbeats, and 20000 for an answer. 0: never. */
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

export interface ResolvedOptions extends Omit<FeedClientOptions, 'onReset'> {
  readonly url: URL;
  readonly token: () => string | null | undefined | Promise<string | null | undefined>;
  readonly hasTokens: boolean;
  readonly retry: { readonly minMs: number; readonly maxMs: number };
  readonly onReset: ((feed: string) => Promise<string | undefined>) | undefined;
  readonly fetch: typeof fetch;
}

/** What each option may be: `typeof` of a value that is allowed is a part of it. */
type Kinds<Options> = Readonly<Record<keyof Options, string>>;

const number = 'number >= 0';
const kinds: Kinds<FeedClientOptions> = {
  url: 'string or object',
  token: 'string or function',
  headers: 'object',
  retry: 'object',
  stallMs: number,
  share: 'boolean',
  resume: 'object',
  onReset: 'function',
  validate: 'boolean',
  fetch: 'function',
};

/**
 * Checks options.
 *
 * @throws TypeError that names the option, and says what it may be
 */
export function check<Options extends object>(method: string, options: Options, kinds: Kinds<Options>): void {
  for (const [name, value] of Object.entries(options)) {
    const kind = kinds[name as keyof Options];
    if (!kind) throw new TypeError(`${method}: ${name} is none of ${Object.keys(kinds).join(', ')}`);
    const isValid = value === undefined || (kind.includes(typeof value) && value !== null && (typeof value !== 'number' || value >= 0));
    if (!isValid) throw new TypeError(`${method}: ${name} is no ${kind}`);
  }
}

/**
 * Checks the options of a client, and adds what is left out.
 *
 * @throws TypeError that names the option, and says what it may be
 */
export function resolveOptions(options: FeedClientOptions): ResolvedOptions {
  const { url, token, retry = {}, onReset, fetch = globalThis.fetch } = options;
  check('createFeedClient', { ...options, url: url ?? null }, kinds);
  check('retry', retry, { minMs: number, maxMs: number });
  const { minMs = 1000, maxMs = Math.max(30_000, minMs) } = retry;
  const hasTokens = typeof token === 'function';
  const base = new URL(url, (globalThis as { location?: { href: string } }).location?.href); // it throws a TypeError that names the URL
  base.pathname = base.pathname.replace(/\/*$/, '');
  return {
    ...options,
    ...{ url: base, retry: { minMs, maxMs } },
    hasTokens,
    token: hasTokens ? (token as ResolvedOptions['token']) : () => token as string,
    onReset:
      onReset &&
      (async (feed) => {
        const position = await onReset(feed);
        return typeof position === 'string' ? position : undefined;
      }),
    fetch: (...args) => fetch(...args), // a browser's must not be called as a method of something else
  };
}
