import type { FeedMessageOf, FeedNotice, FeedRef, FeedSchemas } from '../feed/message/feed-definition.js';
import { Backlog } from './backlog.js';
import { FeedClientError } from './errors.js';
import { Hub, type Source } from './hub.js';
import { type FeedMessages, Messages } from './messages.js';
import type { FeedObservable } from './observable.js';
import { type FeedClientOptions, type ResolvedOptions, resolveOptions } from './options.js';
import { pageEvents } from './page.js';
import { Positions } from './resume.js';
import type { FeedClientStatus } from './status.js';
import { request, TokenError, urlOf } from './stream.js';
import { type FeedClientMessage, type Sink, Subscription } from './subscription.js';
import { valid } from './validate.js';

/** The form of a feed's id, and its length. */
const [idForm, longestId] = [/^(?!\.\.?(\/|$))[\w.~:@-]+(\/(?!\.\.?(\/|$))[\w.~:@-]+)*$/, 200];
/** How long a publication is repeated unless it says so, in milliseconds. */
const publishMs = 30_000;

export interface FollowOptions {
  /**
   * Where to begin: a message id or a position, `earliest`, `latest`, `-20` for the last twenty messages, or a time (RFC 3339). Default: where
   * the page was, with `resume`; otherwise with the next message, and what the feed's rule replays.
   */
  readonly since?: string;
  /** Follows no more once it is aborted. */
  readonly signal?: AbortSignal;
}

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

/** A feed: its id, or a ref of its definition. */
export type Feed = string | FeedRef;

/** The messages of a feed, and what the feed tells of itself. */
export type MessageFrom<F extends Feed> = F extends FeedRef ? FeedMessageOf<F> | FeedNotice : FeedClientMessage;

/** The types of messages that a definition has. */
type TypesOf<Schemas extends FeedSchemas> = keyof Schemas & string;
type InputOf<Schemas extends FeedSchemas, Type extends TypesOf<Schemas>> = Parameters<
  NonNullable<Schemas[Type]['~standard']['types']> extends { readonly input: infer Input } ? (input: Input) => void : never
>[0];

/** Follows feeds over one connection, reconnects by itself, and publishes. Made by `createFeedClient()`. */
export class FeedClient {
  private readonly options: ResolvedOptions;
  private readonly backlog = new Backlog();
  private readonly source: Source;
  private readonly positions: Positions | undefined;
  private readonly followed = new Set<Messages>();
  /** The loads of the states of feeds that are on their way. */
  private readonly reloads = new Map<string, Promise<string | undefined>>();
  private readonly stopListening: () => void;
  private isClosed = false;

  /** @internal */
  constructor(options: FeedClientOptions, makeSource: (options: ResolvedOptions, backlog: Backlog) => Source) {
    this.options = resolveOptions(options);
    const { resume, url } = this.options;
    this.source = makeSource(this.options, this.backlog);
    this.positions = resume && new Positions(resume, `nestjs-feed:${url}`, (feed) => this.source.at(feed));
    this.stopListening = pageEvents({
      look: (isNew) => this.source.look(isNew),
      hide: () => {
        this.positions?.store();
        this.source.suspend();
      },
      show: () => this.source.resume(),
    });
  }

  /** How the connection is: `status.value`, and an Observable of it. */
  get status(): FeedObservable<FeedClientStatus> & { readonly value: FeedClientStatus } {
    return this.source.status;
  }

  /**
   * The messages of one feed, or of several: iterate over them, subscribe, or listen by type. All that a client follows shares one connection.
   *
   * @throws TypeError where a feed's id or an option is not valid
   */
  follow<const F extends Feed>(feeds: F | readonly F[], options: FollowOptions = {}): FeedMessages<MessageFrom<F>> {
    const all = [feeds].flat() as F[];
    const ids = [...new Set(all.map(idOf))];
    if (ids.length === 0) throw new TypeError('follow() needs a feed');
    const { since, signal } = checked('follow', options, ['since', 'signal']);
    if (since !== undefined && typeof since !== 'string')
      throw new TypeError('follow(): since must be a string, such as a message id or earliest');
    const refs = new Map(all.flatMap((feed) => (isRef(feed) ? [[feed.id, feed] as const] : [])));
    const subscriptions: Subscription[] = [];
    const leave = () => {
      for (const subscription of subscriptions) this.source.leave(subscription);
      subscriptions.length = 0;
      this.followed.delete(messages);
      signal?.removeEventListener('abort', close);
    };
    let left = ids.length;
    const sink: Sink = {
      next: (message) => messages.next(this.options.validate ? valid(message, refs.get(message.feed)) : message),
      end: () => {
        left -= 1;
        if (left > 0) return;
        leave();
        messages.end();
      },
      fail: (error) => messages.fail(error),
      onReset: this.options.onReset && ((feed) => this.reload(feed)),
    };
    const begin = () => {
      this.followed.add(messages);
      for (const feed of ids) {
        const subscription = new Subscription(feed, since ?? this.positions?.begin(feed), sink);
        subscriptions.push(subscription);
        this.positions?.feeds.add(feed);
        this.source.join(subscription);
      }
    };
    const messages = new Messages(ids, this.backlog, begin, leave);
    const close = () => messages.close();
    if (signal?.aborted || this.isClosed) close();
    else signal?.addEventListener('abort', close);
    return messages as unknown as FeedMessages<MessageFrom<F>>;
  }

  /**
   * Publishes a message. While the server cannot be reached, or cannot take it, the request is repeated with the same `Idempotency-Key`, so that
   * the message is stored once.
   *
   * @throws FeedClientError with what the server rejects it with, or, after `timeoutMs`, with what it could not be published for
   */
  publish<Schemas extends FeedSchemas, Type extends TypesOf<Schemas>>(
    feed: FeedRef<Schemas>,
    type: Type,
    data: InputOf<Schemas, Type>,
    options?: Omit<PublishOptions, 'type'>,
  ): Promise<Published>;
  publish(feed: string, data: unknown, options?: PublishOptions): Promise<Published>;
  async publish(feed: Feed, ...rest: unknown[]): Promise<Published> {
    const [data, given = {}] = (typeof feed === 'string' ? rest : rest.slice(1)) as [unknown, PublishOptions?];
    const options = checked('publish', given, ['type', 'key', 'expected', 'timeoutMs', 'signal']);
    const { key = makeKey(), expected, timeoutMs = publishMs, signal } = options;
    const type = typeof feed === 'string' ? options.type : rest[0] === 'message' ? undefined : (rest[0] as string);
    const query = Object.entries({ type, expected }).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
    const url = urlOf(this.options.url, [idOf(feed)], query, true);
    const isText = typeof data === 'string';
    const headers = { 'Content-Type': isText ? 'text/plain; charset=utf-8' : 'application/json', 'Idempotency-Key': key };
    const init = { method: 'POST', headers, body: isText ? data : JSON.stringify(data), signal: signal ?? null };
    const until = Date.now() + timeoutMs;
    for (let attempt = 0; ; attempt += 1) {
      try {
        return (await (await request(this.options, url, init)).json()) as Published;
      } catch (error) {
        const delayMs = this.delayOf(error, attempt);
        if (delayMs === undefined || signal?.aborted || Date.now() + delayMs > until)
          throw error instanceof TokenError ? error.cause : error;
        await new Promise((resolve) => setTimeout(resolve, delayMs));
      }
    }
  }

  /** What is stored of one feed, or of several: up to 1,000 messages. */
  async history<const F extends Feed>(feeds: F | readonly F[], options: HistoryQuery = {}): Promise<History<MessageFrom<F>>> {
    const { signal, ...query } = checked('history', options, ['since', 'last', 'limit', 'signal']);
    const entries = Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, `${value}`] as const]));
    const ids = ([feeds].flat() as F[]).map(idOf);
    const url = urlOf(this.options.url, ids, [['mode', 'once'], ...entries]);
    try {
      return (await (await request(this.options, url, { signal: signal ?? null })).json()) as History<MessageFrom<F>>;
    } catch (error) {
      throw error instanceof TokenError ? error.cause : error;
    }
  }

  /** Where a feed is at this moment, or several feeds are. Read it before the state that the feed changes, and follow the feed from there. */
  async position(feeds: Feed | readonly Feed[], { signal }: { signal?: AbortSignal } = {}): Promise<string> {
    return (await this.history(feeds, { last: 1, ...(signal && { signal }) })).position;
  }

  /** Follows nothing any more: iterators end, Observables complete. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    for (const messages of [...this.followed]) messages.close();
    this.positions?.close();
    this.stopListening();
    this.source.close();
  }

  /** One load for a feed, however many follow it. */
  private reload(feed: string): Promise<string | undefined> {
    const known = this.reloads.get(feed);
    if (known) return known;
    const load = (this.options.onReset as (feed: string) => Promise<string | undefined>)(feed).finally(() => this.reloads.delete(feed));
    this.reloads.set(feed, load);
    return load;
  }

  /** When to repeat a publication, in milliseconds; undefined where that would not help. */
  private delayOf(error: unknown, attempt: number): number | undefined {
    const { minMs, maxMs } = this.options.retry;
    const { status, retryAfterMs } = error as Partial<FeedClientError>;
    const isRejected = status !== undefined && status >= 400 && status < 500 && ![408, 425, 429].includes(status);
    if (isRejected && !(status === 401 && this.options.hasTokens && attempt === 0)) return undefined;
    return retryAfterMs ?? Math.min(maxMs, minMs * 2 ** attempt) * (0.5 + Math.random() / 2);
  }
}

/**
 * Makes a client of the feeds at a URL.
 *
 * @throws TypeError where an option is not valid
 */
export function createFeedClient(options: FeedClientOptions): FeedClient {
  return new FeedClient(options, (resolved, backlog) => new Hub(resolved, backlog.ready));
}

function isRef(feed: Feed): feed is FeedRef {
  return typeof feed !== 'string';
}

function idOf(feed: Feed): string {
  const id = typeof feed === 'string' ? feed : feed?.id;
  if (typeof id === 'string' && id.length <= longestId && idForm.test(id)) return id;
  throw new TypeError(
    `A feed's id is 1 to ${longestId} characters out of A-Z a-z 0-9 . _ ~ : @ -, with single slashes between them, not ${JSON.stringify(id)}`,
  );
}

/** @throws TypeError that names what is no option */
function checked<Options extends object>(method: string, options: Options, names: readonly (keyof Options & string)[]): Options {
  if (typeof options !== 'object' || options === null) throw new TypeError(`${method}(): its options must be an object`);
  const wrong = Object.keys(options).find((name) => !(names as readonly string[]).includes(name));
  if (wrong !== undefined) throw new TypeError(`${method}(): ${wrong} is no option; the options are ${names.join(', ')}`);
  return options;
}

/** It has to be unique, not secret: `crypto` is missing in React Native, and in pages without TLS. */
function makeKey(): string {
  return Array.from({ length: 3 }, () => Math.random().toString(36).slice(2)).join('');
}
