import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { FeedMessageOf, FeedNotice, FeedRef, FeedSchemas } from '../feed/message/feed-definition.js';
import { type Feed, idOf } from './feed-id.js';
import { createHub } from './hub.js';
import { createMessages, type FeedMessages, type Messages } from './messages.js';
import type { FeedObservable } from './observable.js';
import { check, type FeedClientOptions, resolveOptions } from './options.js';
import { listenToPage } from './page.js';
import type { History, HistoryQuery, Published, PublishOptions } from './publish.js';
import type { Positions } from './resume.js';
import { createStatus, type FeedClientStatus } from './status.js';
import { type FeedClientMessage, type Sink, type Subscription, subscriptionTo } from './subscription.js';

/** How often it is looked whether consumers have caught up, where some are behind, in milliseconds. */
const drainMs = 10;

export interface FollowOptions {
  /**
   * Where to begin: a message id or a position, `earliest`, `latest`, `-20` for the last twenty messages, or a time (RFC 3339). Default: where
   * the page was, with `resume`; otherwise with the next message, and what the feed's rule replays.
   */
  readonly since?: string;
  /** Follows no more once it is aborted. */
  readonly signal?: AbortSignal;
}

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
  position(feeds: Feed | readonly Feed[], options?: Pick<HistoryQuery, 'timeoutMs' | 'signal'>): Promise<string>;

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
  const { resume, validate, onReset, share } = options;
  /** The consumers that have enough to do. */
  const full = new Set<object>();
  const drained = async () => {
    while (full.size > 0) await new Promise((resolve) => setTimeout(resolve, drainMs));
  };
  const status = createStatus();
  const context = { options, status, ready: () => (full.size > 0 ? drained() : undefined) };
  // What few need is loaded when it is needed.
  let hub = share ? undefined : createHub(context);
  let kept: Positions | undefined;
  const sharing = share ? import('./share.js') : undefined;
  const positions = resume && import('./resume.js').then(({ createPositions }) => createPositions(options, (feed) => hub?.at(feed)));
  const lazily =
    (name: 'publish' | 'history' | 'position') =>
    async (...args: unknown[]) =>
      ((await import('./publish.js'))[name] as (...args: unknown[]) => unknown)(options, ...args);
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
    check('follow', followOptions, { since: 'string', signal: 'signal object' });
    const { since, signal } = followOptions;
    if (ids.length === 0) throw new TypeError('follow: no feed');
    const subscriptions: Subscription[] = [];
    const close = () => made.end();
    let left = ids.length;
    let valid: ((message: FeedClientMessage) => FeedClientMessage) | undefined;
    const sink: Sink = {
      next(message) {
        try {
          made.next(valid ? valid(message) : message);
        } catch (error) {
          made.end({ error });
        }
      },
      end(feed) {
        kept?.forget(feed);
        left -= 1;
        if (left === 0) close();
      },
      fail: (error) => made.end({ error }),
      onReset: onReset && reload,
    };
    const begin = async () => {
      followed.add(made);
      kept = await positions;
      const shared = await sharing;
      valid = validate ? (await import('./validate.js')).validator(all) : undefined;
      if (!followed.has(made)) return; // closed meanwhile
      for (const feed of ids) subscriptions.push(subscriptionTo(feed, since ?? kept?.begin(feed, made), sink));
      hub ??= shared?.canShare() ? shared.createShared(context) : createHub(context);
      for (const subscription of subscriptions) if (followed.has(made)) hub.join(subscription);
    };
    const leave = () => {
      followed.delete(made);
      signal?.removeEventListener('abort', close);
      kept?.leave(made);
      for (const subscription of subscriptions) hub?.leave(subscription);
    };
    const made = createMessages(ids, full, () => begin().catch((error) => made.end({ error })), leave);
    signal?.addEventListener('abort', close);
    if (signal?.aborted || closing.signal.aborted) close();
    return made.messages;
  };

  listenToPage({ look: (isNew) => hub?.look(isNew), hide: () => kept?.store() }, closing.signal);

  return {
    ...{ status, follow },
    ...{ publish: lazily('publish'), history: lazily('history'), position: lazily('position') },
    close() {
      closing.abort();
      for (const messages of [...followed]) messages.end();
      hub?.close?.();
    },
  } as unknown as FeedClient;
}
