import type { IncomingMessage } from 'node:http';
import { FeedException } from '../errors/feed-exception.js';
import { badQuery } from '../errors/query-rules.js';
import type { Format } from '../format/format.js';
import { chooseFormat, marked } from '../format/formats.js';
import { checkFeedId, isFeedId } from '../message/feed-id.js';
import { nowhere, parsePosition, parseStarts, type StartOf } from '../message/position.js';
import { type AnyRequest, rawOf, routeOf, targetOf } from './adapter.js';
import { decoded, splitTarget } from './target.js';

/** How many feeds a connection may request at once. */
const mostFollowed = 100;

/**
 * Routes for the id of a feed in a path. An id may have slashes, and wildcard routes look different in Express and Fastify: so each
 * number of segments has a route; an id of more than four is written with `%2F`.
 */
export const idPaths = [':a', ':a/:b', ':a/:b/:c', ':a/:b/:c/:d'];

/** Whose token or key a request has. */
export interface Bearer {
  /** Who the token is for: its `sub`. */
  readonly subject?: string | undefined;
  /** The id of the token: its `jti`. */
  readonly tokenId?: string | undefined;
  /** Which publish key the request has, by a name that does not give it away; undefined where it has none. */
  readonly key?: string | undefined;
  /** What others see of whom the token is for: its `info`, in JSON. */
  readonly info?: string | undefined;
  /** When the token expires, in milliseconds since 1970. Undefined: never. */
  readonly expiresAt?: number | undefined;
}

/** What the token of a request allows. */
export interface Grant {
  readonly bearer: Bearer;
  /** Why a request without a token is rejected where it needs one; undefined where it has one, or none was looked for. */
  readonly missing?: unknown;
  mayRead(feed: string): boolean;
  mayPublish(feed: string): boolean;
}

/** Knows whether a grant still holds: a token may be revoked, or expire, while its request is under way. */
export interface GrantCheck {
  /** @throws FeedException FEED_REVOKED (403), FEED_UNAUTHORIZED (401) */
  check(grant: Grant): void;
}

/** Tells the feeds that a request names, before its handler is called; undefined where that is one named as its path. */
export type NamedFeeds = (request: FeedRequest) => readonly string[] | undefined;

const read = Symbol('FeedRequest');

interface ReadRequest extends IncomingMessage {
  [read]?: FeedRequest;
}

/** Shared by all requests without a query. */
const noQuery = new URLSearchParams();

/**
 * What a request asks of the feeds. It is made where a request enters, in a guard or at its handler, and passed on from there; what is read of
 * it is read once.
 */
export class FeedRequest {
  /** Node's own request. */
  readonly raw: IncomingMessage;
  /** The target as the client sent it, path and query. */
  readonly target: string;
  /** Its path, as the client sent it. */
  readonly urlPath: string;
  readonly query: URLSearchParams;
  /** What its token allows; undefined where no guard of the module has looked for one. */
  grant: Grant | undefined = undefined;
  /** Who has found out what its token allows. */
  granter: GrantCheck | undefined = undefined;
  /** Ends what was made for the request; undefined where nothing asked for the signal. */
  stop: AbortController | undefined = undefined;
  /** The feeds that its route has told; undefined until it is asked. */
  told: readonly string[] | undefined = undefined;
  private knownPath: string | undefined = undefined;
  private knownFormat: Format | undefined = undefined;

  /** @param framed the request as the framework passes it */
  private constructor(readonly framed: AnyRequest) {
    this.raw = rawOf(framed);
    this.target = targetOf(framed);
    const [path, query] = splitTarget(this.target);
    this.urlPath = path;
    this.query = query === '' ? noQuery : new URLSearchParams(query);
  }

  /** The same object for the same request: Nest passes guards, interceptors and handlers its own alone. */
  static of(request: AnyRequest): FeedRequest {
    const raw: ReadRequest = rawOf(request);
    raw[read] ??= new FeedRequest(request);
    return raw[read];
  }

  /**
   * Checks that what the request was granted still holds: whatever has waited, for a body or for the broker, asks before it acts.
   *
   * @throws FeedException FEED_REVOKED (403), FEED_UNAUTHORIZED (401)
   */
  checkGrant(): void {
    if (this.grant) this.granter?.check(this.grant);
  }

  /**
   * The value of a parameter that may be given once; undefined where it is not given.
   *
   * @throws FeedException FEED_QUERY (400)
   */
  parameter(name: string): string | undefined {
    if (this.query === noQuery) return undefined;
    const [value, ...others] = this.query.getAll(name);
    if (others.length > 0) throw badQuery(`Give ${name} once.`);
    return value;
  }

  /** Whether the client wants the head of the response alone. */
  get isHead(): boolean {
    return this.raw.method === 'HEAD';
  }

  /**
   * The path, decoded, without the slashes around it, and in the case in which its route is written: Express matches in any, and a feed has
   * one name.
   */
  get path(): string {
    this.knownPath ??= pathOf(this);
    return this.knownPath;
  }

  /** The feed that has the path as its name; none where that is not a feed's id. */
  get feedsOfPath(): readonly string[] {
    return [this.path].filter(isFeedId);
  }

  /** Aborted when the request's connection ends, or when none is opened for it. Made for those who ask: a connection without costs nothing. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** What aborts the signal. */
  get controller(): AbortController {
    this.stop ??= new AbortController();
    return this.stop;
  }

  /** Has the signal follow another one from now on, and not the request's connection. */
  detach(signal: AbortSignal): void {
    const { stop } = this;
    this.stop = undefined;
    if (stop) signal.addEventListener('abort', () => stop.abort(signal.reason));
  }

  /** What a body parser of the application has made of the body; undefined where none has read it. */
  get parsedBody(): unknown {
    return (this.framed as { body?: unknown }).body;
  }

  /** The feeds that its route tells: asked once, by the guard or by the handler. */
  feedsBy(tell: NamedFeeds): readonly string[] | undefined {
    this.told ??= tell(this);
    return this.told;
  }

  /**
   * The feed that the path names, slashes included.
   *
   * @throws FeedException FEED_ID (400)
   */
  get pathFeed(): string {
    return checkFeedId(this.pathName);
  }

  /**
   * The feeds that the query names: `?id=a&id=b`.
   *
   * @throws FeedException FEED_ID, FEED_IDS (400)
   */
  get queryFeeds(): string[] {
    const feeds = new Set(this.query.getAll('id'));
    if (feeds.size === 0) throw new FeedException('FEED_IDS');
    if (feeds.size > mostFollowed) {
      throw new FeedException('FEED_IDS', { message: `A connection can ask for ${mostFollowed} feeds at most, not ${feeds.size}.` });
    }
    return Array.from(feeds, checkFeedId);
  }

  /** The first of the feeds that the path or the query names, valid or not; undefined where they name none. */
  get namedFeed(): string | undefined {
    return this.pathName ?? this.query.get('id') ?? undefined;
  }

  /** The feed that the parameters of the path name, valid or not: see `idPaths`. Undefined where the path has none. */
  get pathName(): string | undefined {
    const { a, b, c, d } = (this.framed as { params?: Record<string, string> }).params ?? {};
    return b === undefined ? a : [a, b, c, d].filter((segment) => segment !== undefined).join('/');
  }

  /**
   * The format, with positions between the messages where the client asks for them (`?marks=1`).
   *
   * @throws FeedException FEED_FORMAT (406) when the client accepts none of the formats; FEED_QUERY (400)
   */
  get format(): Format {
    this.knownFormat ??= formatOf(this);
    return this.knownFormat;
  }

  /** Whether the client says where it wants to begin. */
  get isResumed(): boolean {
    return this.lastEventId !== undefined || this.query.has('since');
  }

  /**
   * Where the client wants to begin: `Last-Event-ID`, which `EventSource` sends when it reconnects (HTML standard, section 9.2.4), else
   * `?since=`. A `Last-Event-ID` that is no position leads to a reset, since `EventSource` cannot leave it out.
   *
   * @param sourceHasIds whether it may be the id of a source instead, which then resumes by itself
   * @returns undefined where the request does not say
   * @throws FeedException FEED_SINCE (400)
   */
  startOf(feeds: readonly string[], sourceHasIds: boolean): StartOf | undefined {
    if (!this.isResumed) return undefined;
    const { lastEventId } = this;
    const position = lastEventId === undefined ? undefined : (parsePosition(lastEventId) ?? (sourceHasIds ? undefined : nowhere));
    if (position) return () => position;
    const since = this.query.getAll('since');
    return since.length === 0 ? undefined : parseStarts(since, feeds);
  }

  private get lastEventId(): string | undefined {
    const id = this.raw.headers['last-event-id'];
    return typeof id === 'string' && id !== '' ? id : undefined;
  }
}

/** A target may be a whole URL (RFC 9112 section 3.2.2). */
function pathOf({ urlPath, framed }: FeedRequest): string {
  const path = urlPath
    .replace(/^https?:\/\/[^/]*/i, '')
    .replace(/^\/+|\/$/g, '')
    .split('/');
  const { pattern, mounted } = routeOf(framed);
  for (const [n, written] of pattern.split('/').filter(Boolean).entries()) {
    const segment = path[mounted + n];
    if (segment?.toLowerCase() === written.toLowerCase()) path[mounted + n] = written;
    else if (!/^:\w+$/.test(written)) break; // it may stand for several segments, or none
  }
  return decoded(path.join('/'));
}

function formatOf(request: FeedRequest): Format {
  const format = chooseFormat(request.raw.headers.accept, request.parameter('format') ?? null);
  const marks = request.parameter('marks') ?? '0';
  if (marks === '0') return format;
  if (marks === '1') return marked(format);
  throw badQuery('marks is 1 for positions between the messages, or 0.');
}
