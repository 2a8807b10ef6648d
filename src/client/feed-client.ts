import type { StandardSchemaV1 } from '@standard-schema/spec';
import { type FeedMessageOf, type FeedNotice, type FeedRef, type FeedSchemas, segmentForm } from '../feed/message/feed-definition.js';
import { createBacklog } from './backlog.js';
import { createHub, type Source } from './hub.js';
import { createMessages, type FeedMessages, type Messages } from './messages.js';
import type { FeedObservable } from './observable.js';
import { check, type FeedClientOptions, resolveOptions } from './options.js';
import { listenToPage } from './page.js';
import type { FeedClientStatus } from './status.js';
import { type FeedClientMessage, type Sink, type Subscription, subscriptionTo } from './subscription.js';

/** The longest id of a feed, in characters. */
const longestId = 200;

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

/** Follows feeds over one connection, reconnects by itself, and publishes. Made by `createFeedClient()`. */
export interface FeedClient {
  /** How the connection is: `status.value`, and an Observable of it. */
  readonly status: FeedObservable<FeedClientStatus> & { readonly value: FeedClientStatus };

  /**
   * The messages of one feed, or of several: iterate over them, subscribe, or listen by type. All that a client follows shares one connection.
   *
   * @throws TypeError where a feed's id or an option is not valid
   */
  follow<const F extends Feed>(feeds: F | readonly F[], options?: FollowOptions): FeedMessages<MessageFrom<F>>;

  /**
   * Publishes a message. While the server cannot be reached, or cannot take it, the request is repeated with the same `Idempotency-Key`, so that
   * the message is stored once.
   *
   * @throws FeedClientError with what the server rejects it with; after `timeoutMs`, what the last attempt failed with
   */
  publish<Schemas extends FeedSchemas, Type extends keyof Schemas & string>(
    feed: FeedRef<Schemas>,
    type: Type,
    data: StandardSchemaV1.InferInput<Schemas[Type]>,
    options?: Omit<PublishOptions, 'type'>,
  ): Promise<Published>;
  publish(feed: string, data: unknown, options?: PublishOptions): Promise<Published>;

  /** What is stored of one feed, or of several: up to 1,000 messages. */
  history<const F extends Feed>(feeds: F | readonly F[], options?: HistoryQuery): Promise<History<MessageFrom<F>>>;

  /** Where a feed is at this moment, or several feeds are. Read it before the state that the feed changes, and follow the feed from there. */
  position(feeds: Feed | readonly Feed[], options?: { readonly signal?: AbortSignal }): Promise<string>;

  /** Follows nothing any more: iterators end, Observables complete. */
  close(): void;
}

/**
 * Makes a client of the feeds at a URL.
 *
 * @throws TypeError where an option is not valid
 */
export function createFeedClient(given: FeedClientOptions): FeedClient {
  const options = resolveOptions(given);
  const { url, resume, validate, onReset } = options;
  const backlog = createBacklog();
  const source: Source = createHub({ options, ready: backlog.ready });
  // What few need is loaded when it is needed.
  const positions = resume && import('./resume.js').then(({ createPositions }) => createPositions(resume, `nestjs-feed:${url}`, source.at));
  const other = () => import('./publish.js');
  const followed = new Set<Messages>();
  /** The loads of the states of feeds that are on their way: one for a feed, however many follow it. */
  const reloads = new Map<string, Promise<string | undefined>>();
  const closing = new AbortController();

  const reload = (feed: string) => {
    const load = reloads.get(feed) ?? (onReset as NonNullable<typeof onReset>)(feed).finally(() => reloads.delete(feed));
    reloads.set(feed, load);
    return load;
  };

  const follow = (feeds: Feed | readonly Feed[], followOptions: FollowOptions = {}): FeedMessages => {
    const all = [feeds].flat() as Feed[];
    const ids = [...new Set(all.map(idOf))];
    check('follow()', followOptions, { since: 'string', signal: 'signal object' });
    const { since, signal } = followOptions;
    if (ids.length === 0) throw new TypeError('follow() needs a feed');
    const refs = new Map(all.map((feed, n) => [ids[n], isRef(feed) ? feed : undefined]));
    const subscriptions: Subscription[] = [];
    const close = () => made.end();
    let left = ids.length;
    let valid: ((message: FeedClientMessage, ref: FeedRef | undefined) => FeedClientMessage) | undefined;
    const sink: Sink = {
      next: (message) => made.next(valid ? valid(message, refs.get(message.feed)) : message),
      end() {
        left -= 1;
        if (left === 0) close();
      },
      fail: (error) => made.end({ error }),
      onReset: onReset && reload,
    };
    const begin = async () => {
      followed.add(made);
      const kept = await positions;
      valid = validate ? (await import('./validate.js')).valid : undefined;
      if (!followed.has(made)) return; // closed meanwhile
      for (const feed of ids) subscriptions.push(subscriptionTo(feed, since ?? kept?.begin(feed), sink));
      subscriptions.forEach(source.join);
    };
    const leave = () => {
      followed.delete(made);
      signal?.removeEventListener('abort', close);
      subscriptions.forEach(source.leave);
    };
    const made = createMessages(ids, backlog, begin, leave);
    signal?.addEventListener('abort', close);
    if (signal?.aborted || closing.signal.aborted) close();
    return made.messages;
  };

  listenToPage({ look: source.look, hide: () => positions?.then(({ store }) => store()), show: () => source.look(true) }, closing.signal);

  return {
    ...{ status: source.status, follow },
    publish: async (feed: Feed, ...rest: unknown[]) => (await other()).publish(options, idOf(feed), isRef(feed), rest),
    history: async (feeds: Feed | readonly Feed[], query: HistoryQuery) =>
      (await other()).history(options, [feeds].flat().map(idOf), query),
    position: async (feeds: Feed | readonly Feed[], query?: { signal?: AbortSignal }) =>
      (await (await other()).history(options, [feeds].flat().map(idOf), { ...query, last: 1 })).position,
    close() {
      closing.abort();
      for (const messages of [...followed]) messages.end();
      positions?.then(({ close }) => close());
      source.close();
    },
  } as unknown as FeedClient;
}

function isRef(feed: Feed): feed is FeedRef {
  return typeof feed !== 'string';
}

function idOf(feed: Feed): string {
  const id = typeof feed === 'string' ? feed : feed?.id;
  if (typeof id === 'string' && id.length <= longestId && id.split('/').every((segment) => segmentForm.test(segment))) return id;
  throw new TypeError(`A feed's id is up to ${longestId} of A-Z a-z 0-9 . _ ~ : @ - and single slashes, not ${JSON.stringify(id)}`);
}
