import { backoff } from './backoff.js';
import { FeedClientError, isFinal, type Refusal } from './errors.js';
import type { ConnectionObserver, Hub } from './hub-types.js';
import type { ResolvedOptions } from './options.js';
import { isAfter, isPosition } from './position.js';
import { createProgress, type Progress } from './progress.js';
import { type Line, mute, stream, TokenError } from './request.js';
import { createStatus, type Status } from './status.js';
import type { FeedClientMessage, Subscription } from './subscription.js';
import type { Watch } from './watch.js';

/** How many feeds the server takes on one connection. */
const mostFeeds = 100;
/** When a stream is tried again where streams are held back, in milliseconds. */
const pollingMs = 600_000;

export interface HubContext {
  readonly options: ResolvedOptions;
  /** What has to be waited for before more is read. */
  readonly ready: () => Promise<void> | undefined;
  readonly status?: Status;
  readonly progress?: Progress;
  readonly observer?: ConnectionObserver;
  /** How long it waits for others to join before it connects for the first time, in milliseconds. Default: to the end of this turn. */
  readonly gatherMs?: number;
}

/** Holds one connection for all feeds that are followed, reconnects, and knows where each goes on. */
export function createHub({
  options,
  ready,
  status = createStatus(),
  progress = createProgress(),
  observer,
  gatherMs = 0,
}: HubContext): Hub {
  const feeds = new Map<string, Set<Subscription>>();
  /** The feeds of the present request; none while there is none. */
  let open: readonly string[] = [];
  let isRunning = false;
  let isLive = false;
  let attempts = 0;
  let isPolling = false;
  let pollUntil = 0;
  /** When the server wants its client back, in milliseconds. */
  let retryMs: number | undefined;
  let restart = new AbortController();
  let watch: Watch | undefined;
  let skipWait: (() => void) | undefined;
  /** Those that begin elsewhere than the others of their feed. They catch up one after the other, while those are live, or there would be a gap. */
  const pending = new Set<Subscription>();

  const remove = (feed: string) => {
    const all = feeds.get(feed) ?? [];
    feeds.delete(feed);
    progress.forget(feed);
    return all;
  };

  /** A feed has ended: those who follow it have all that it had. */
  const end = (feed: string) => {
    const all = remove(feed);
    observer?.end(feed);
    if (feeds.size === 0) status.set({ state: 'ended' });
    for (const subscription of all) subscription.end();
  };

  const refuse = (error: unknown) => {
    const { feed = '' } = error as Refusal;
    const refused = feeds.has(feed) ? [feed] : [...feeds.keys()];
    if (refused.length === feeds.size) status.set({ state: 'failed', error });
    for (const name of refused) {
      const all = remove(name);
      observer?.fail(name, error);
      for (const subscription of all) subscription.fail(error);
    }
  };

  const makeHub = (ownObserver: ConnectionObserver) => createHub({ options, ready, observer: ownObserver });
  const catchUp = () => {
    if (!isLive || pending.size === 0) return;
    import('./catch-up.js')
      .then((part) => part.catchUp(pending, makeHub))
      .catch((error) => {
        for (const subscription of pending) subscription.fail(error);
      });
  };

  const goLive = () => {
    isLive = true;
    if (status.value.state !== 'live') status.set({ state: 'live', transport: isPolling ? 'poll' : 'stream' });
    catchUp();
  };

  const deliver = (message: FeedClientMessage) => {
    const { feed, id, type } = message;
    progress.move(feed, id, isLive);
    observer?.next(message, isLive);
    for (const subscription of feeds.get(feed) ?? []) subscription.next(message);
    if (type === 'end') end(feed);
  };

  const mark = (position: string) => {
    progress.mark(position, open);
    observer?.mark(position, open);
    goLive();
  };

  const onLine = (line: Line) => {
    // A route may have another name for a feed than its path has.
    const only = open.length === 1 ? open[0] : undefined;
    if ('data' in line) deliver({ ...line, feed: only ?? line.feed } as FeedClientMessage);
    else if (line.heartbeatMs !== undefined) {
      for (const feed of line.ended ?? []) end(only ?? feed);
      if (line.position === undefined) goLive(); // of a source there is nothing to catch up with
    } else if (line.position !== undefined) mark(line.position);
    else if (line.error) throw new FeedClientError(line.error.message, line.error);
    else retryMs = line.retry;
  };

  /** Asks once; resolves with the delay before the next time, in milliseconds. */
  const ask = async (): Promise<number> => {
    const { signal } = restart;
    // What comes after the request is given up is not for those who follow now.
    const receiver = {
      feeds: open,
      since: progress.since(open),
      signal,
      onWatch: (present: Watch) => {
        watch = present;
      },
      onLine: (line: Line) => signal.aborted || onLine(line),
      ready,
    };
    if (!isPolling) {
      if (await stream(options, receiver)) receiver.feeds.forEach(end);
      return retryMs ?? backoff(options, 0);
    }
    await (await import('./poll.js')).poll(options, receiver, status.value.state !== 'live');
    return 0;
  };

  /** What a failure means: the delay before the next attempt, in milliseconds; undefined where the server refuses. */
  const judge = (error: unknown): number | undefined => {
    const delayMs = backoff(options, attempts);
    attempts += 1;
    if (error === mute) {
      pollUntil = Date.now() + pollingMs;
      return 0;
    }
    const { status: code, retryAfterMs } = error as Refusal;
    if (code === 401 && options.hasTokens) return attempts === 1 ? 0 : delayMs;
    if (isFinal(error as Refusal)) return undefined;
    return retryAfterMs ? retryAfterMs * (1 + Math.random() / 2) : delayMs;
  };

  const wait = (ms: number, failure: unknown) => {
    const state = (failure as Refusal | undefined)?.status === 401 ? 'failed' : 'waiting';
    status.set({ state, error: failure instanceof TokenError ? failure.cause : failure, until: Date.now() + ms });
    return new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      skipWait = () => {
        clearTimeout(timer); // it would keep a process of Node's
        resolve();
      };
    });
  };

  const run = async () => {
    isRunning = true;
    await pause(gatherMs);
    while (feeds.size > 0) {
      const present = new AbortController();
      restart = present;
      open = [...feeds.keys()];
      isLive = false;
      retryMs = undefined;
      isPolling = Date.now() < pollUntil;
      if (!isPolling || status.value.state !== 'live') status.set({ state: 'connecting' });
      const openedAt = Date.now();
      let delayMs: number | undefined;
      let failure: unknown;
      try {
        delayMs = await ask();
      } catch (error) {
        failure = error;
        delayMs = present.signal.aborted ? 0 : judge(error);
      }
      if (isLive && Date.now() - openedAt > options.retry.minMs) attempts = 0;
      open = [];
      watch = undefined;
      if (present.signal.aborted)
        await pause(0); // others may follow in the same turn
      else if (delayMs === undefined) refuse(failure);
      else if (delayMs > 0 && feeds.size > 0) await wait(delayMs, failure);
    }
    isRunning = false;
  };

  /** Asks anew for what is followed now. What is called in one turn makes one request. */
  const reopen = () => {
    open = [];
    isLive = false;
    restart.abort();
    if (feeds.size > 0) {
      if (!isRunning) void run();
      return;
    }
    status.set({ state: 'idle' });
    skipWait?.();
  };

  /** Whether a subscription can begin with what comes on the connection of all. */
  const fits = (feed: string, since = 'new'): boolean => {
    const at = progress.of(feed);
    const isOpen = open.includes(feed);
    if (!isPosition(since) || !isPosition(at)) return isOpen ? isLive && since === 'latest' : since === at;
    return !isAfter(at, since);
  };

  return {
    status,
    at: (feed) => progress.of(feed),
    join(subscription, since = subscription.since) {
      const { feed } = subscription;
      const others = feeds.get(feed);
      if (others && !fits(feed, since)) {
        others.add(subscription);
        subscription.isCatchingUp = true;
        pending.add(subscription);
        catchUp();
        return;
      }
      if (!others && feeds.size === mostFeeds) {
        subscription.fail(new FeedClientError(`At most ${mostFeeds} feeds.`));
        return;
      }
      subscription.release(isPosition(since) ? since : undefined);
      if (others) others.add(subscription);
      else {
        feeds.set(feed, new Set([subscription]));
        progress.begin(feed, since);
        reopen();
      }
    },
    leave(subscription) {
      const { feed } = subscription;
      const all = feeds.get(feed);
      subscription.isCatchingUp = false;
      subscription.stop?.();
      pending.delete(subscription);
      if (!all?.delete(subscription) || all.size > 0) return;
      remove(feed);
      reopen();
    },
    look(isNew) {
      watch?.look();
      if (isNew) restart.abort();
      skipWait?.();
    },
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
