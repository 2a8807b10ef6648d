import { FeedClientError, type Refusal } from './errors.js';
import { createHub, type HubContext } from './hub.js';
import type { Hub } from './hub-types.js';
import { isPosition } from './position.js';
import { createProgress } from './progress.js';
import type { FeedClientStatus, Status } from './status.js';
import type { FeedClientMessage, Subscription } from './subscription.js';

/** How long a tab that takes over waits for the others to say what they follow, before it connects, in milliseconds. */
const gatherMs = 100;

/** The part of the Web Locks API that tabs agree by. */
interface Locks {
  request(name: string, options: { readonly signal: AbortSignal }, held: () => Promise<unknown> | undefined): Promise<unknown>;
}

/** What tabs tell each other. A tab and a number name one subscription. */
type TabMessage =
  /** To the leader. */
  | {
      readonly to: 'leader';
      readonly call: 'join';
      readonly tab: string;
      readonly n: number;
      readonly feed: string;
      readonly since: string | undefined;
    }
  | { readonly to: 'leader'; readonly call: 'leave'; readonly tab: string; readonly n: number }
  | { readonly to: 'leader'; readonly call: 'look' }
  /** From the leader, to all. */
  | { readonly to: 'all'; readonly call: 'lead' }
  | { readonly to: 'all'; readonly call: 'next'; readonly message: FeedClientMessage; readonly isLive: boolean }
  | { readonly to: 'all'; readonly call: 'mark'; readonly position: string; readonly feeds: readonly string[] }
  | { readonly to: 'all'; readonly call: 'status'; readonly status: FeedClientStatus }
  /** From the leader, to one subscription. */
  | { readonly to: string; readonly n: number; readonly call: 'replay'; readonly message: FeedClientMessage }
  | { readonly to: string; readonly n: number; readonly call: 'release'; readonly position: string | undefined; readonly at: string }
  | { readonly to: string; readonly n: number; readonly call: 'end' }
  | { readonly to: string; readonly n: number; readonly call: 'fail'; readonly error: unknown };

/** Where tabs can share a connection: browsers with Web Locks, in pages that are loaded over TLS or from this machine. */
export function canShare(): boolean {
  const { navigator } = globalThis as { navigator?: { locks?: Locks } };
  return navigator?.locks !== undefined && typeof BroadcastChannel === 'function';
}

/**
 * Follows feeds over a connection that all tabs of an origin share. One tab leads: it holds the connection, and tells the others what comes. When
 * it is closed, the next one takes over, and asks for each feed from where the tabs are.
 */
export function createShared(context: HubContext & { readonly status: Status }): Hub {
  const { options, status } = context;
  const name = `nestjs-feed:${options.url}`;
  const tab = Math.random().toString(36).slice(2);
  const channel = new BroadcastChannel(name);
  const { locks } = (globalThis as unknown as { navigator: { locks: Locks } }).navigator;
  const closing = new AbortController();
  const { signal } = closing;
  const progress = createProgress();
  /** The subscriptions of this tab, and those of them that have been let out. */
  const mine = new Map<number, Subscription>();
  const released = new Set<number>();
  /** As the leader: the connection, and the subscriptions of the other tabs. */
  let hub: Hub | undefined;
  const others = new Map<string, Map<number, Subscription>>();
  let count = 0;

  const post = (tabMessage: TabMessage) => {
    if (!signal.aborted) channel.postMessage(tabMessage);
  };

  /** Where a subscription goes on. */
  const sinceOf = (n: number, { feed, since }: Subscription) => (released.has(n) ? progress.of(feed) : since);

  const askToJoin = (n: number, subscription: Subscription) => {
    const { feed } = subscription;
    const since = sinceOf(n, subscription);
    subscription.hold();
    post({ to: 'leader', call: 'join', tab, n, feed, since });
  };

  const forget = (n: number) => {
    const subscription = mine.get(n);
    mine.delete(n);
    released.delete(n);
    if (subscription && ![...mine.values()].some(({ feed }) => feed === subscription.feed)) progress.forget(subscription.feed);
    return subscription;
  };

  /** Stands for a subscription of another tab. What comes on the connection reaches that by the observer. */
  const remote = (leader: Hub, to: string, n: number, feed: string, since: string | undefined): Subscription => {
    const ignore = () => {};
    return {
      ...{ feed, since, isCatchingUp: false, next: ignore, hold: ignore },
      replay: (message) => post({ to, n, call: 'replay', message }),
      release(position) {
        this.isCatchingUp = false;
        // The first of a feed is not known to the hub yet.
        queueMicrotask(() => post({ to, n, call: 'release', position, at: leader.at(feed) }));
      },
      end() {
        // One that catches up comes to the end by itself.
        if (!this.isCatchingUp) queueMicrotask(() => post({ to, n, call: 'end' }));
      },
      fail: (error) => post({ to, n, call: 'fail', error: toPlain(error) }),
    };
  };

  const admit = (leader: Hub, { tab: other, n, feed, since }: TabMessage & { readonly call: 'join' }) => {
    let all = others.get(other);
    if (!all) {
      all = new Map();
      others.set(other, all);
      // A tab holds a lock of its own for as long as it is there.
      const gone = () => {
        for (const subscription of others.get(other)?.values() ?? []) leader.leave(subscription);
        others.delete(other);
        return undefined;
      };
      locks.request(`${name} ${other}`, { signal }, gone).catch(() => {});
    }
    const before = all.get(n);
    if (before) leader.leave(before); // it has asked before it heard of a new leader, and again then
    const subscription = remote(leader, other, n, feed, since);
    all.set(n, subscription);
    leader.join(subscription);
    post({ to: 'all', call: 'status', status: plain(status.value) });
  };

  const lead = () => {
    const leader = createHub({
      ...{ ...context, progress, gatherMs },
      observer: {
        next: (message, isLive) => post({ to: 'all', call: 'next', message, isLive }),
        mark: (position, feeds) => post({ to: 'all', call: 'mark', position, feeds }),
        end() {},
        fail() {},
      },
    });
    hub = leader;
    for (const [n, subscription] of mine) {
      const since = sinceOf(n, subscription);
      subscription.hold();
      leader.join(subscription, since);
    }
    post({ to: 'all', call: 'lead' });
    status.subscribe((value) => !signal.aborted && post({ to: 'all', call: 'status', status: plain(value) }));
  };

  const follow = (tabMessage: TabMessage) => {
    if (tabMessage.call === 'lead') for (const [n, subscription] of mine) askToJoin(n, subscription);
    else if (tabMessage.call === 'status') {
      // What others follow is no status of a tab that follows nothing.
      if (mine.size > 0) status.set(revivedStatus(tabMessage.status));
    } else if (tabMessage.call === 'mark') progress.mark(tabMessage.position, tabMessage.feeds);
    else if (tabMessage.call === 'next') {
      const { message, isLive } = tabMessage;
      progress.move(message.feed, message.id, isLive);
      for (const subscription of mine.values()) if (subscription.feed === message.feed) subscription.next(message);
    } else if (tabMessage.to === tab && 'n' in tabMessage) {
      const subscription = tabMessage.call === 'end' || tabMessage.call === 'fail' ? forget(tabMessage.n) : mine.get(tabMessage.n);
      if (tabMessage.call === 'replay') subscription?.replay(tabMessage.message);
      else if (tabMessage.call === 'end') {
        if (mine.size === 0) status.set({ state: 'ended' });
        subscription?.end();
      } else if (tabMessage.call === 'fail') {
        const error = revived(tabMessage.error);
        if (mine.size === 0) status.set({ state: 'failed', error });
        subscription?.fail(error);
      } else if (tabMessage.call === 'release' && subscription) {
        released.add(tabMessage.n);
        progress.begin(subscription.feed, isPosition(progress.of(subscription.feed)) ? progress.of(subscription.feed) : tabMessage.at);
        subscription.release(tabMessage.position);
      }
    }
  };

  channel.onmessage = ({ data }: MessageEvent) => {
    const tabMessage = data as TabMessage;
    if (!hub) follow(tabMessage);
    else if (tabMessage.call === 'join') admit(hub, tabMessage);
    else if (tabMessage.call === 'leave') {
      const subscription = others.get(tabMessage.tab)?.get(tabMessage.n);
      others.get(tabMessage.tab)?.delete(tabMessage.n);
      if (subscription) hub.leave(subscription);
    } else if (tabMessage.call === 'look') hub.look(false);
  };

  const hold = () => new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
  // The tab's own lock first: a leader takes a tab without one for closed.
  const there = new Promise<void>((resolve, reject) => {
    const held = () => {
      resolve();
      return hold();
    };
    locks.request(`${name} ${tab}`, { signal }, held).catch(reject);
  });
  const elected = () => {
    lead();
    return hold();
  };
  // It fails when the client is closed before. Where the browser forbids locks, the tab is on its own.
  there.then(() => locks.request(name, { signal }, elected)).catch(() => signal.aborted || hub || lead());

  return {
    status,
    at: (feed) => progress.of(feed),
    join(subscription) {
      count += 1;
      const n = count;
      mine.set(n, subscription);
      if (hub) {
        released.add(n);
        hub.join(subscription);
        return;
      }
      const { feed, since } = subscription;
      if (![...mine].some(([other, { feed: followed }]) => other !== n && followed === feed)) progress.begin(feed, since);
      there.then(() => mine.has(n) && !hub && askToJoin(n, subscription)).catch(() => {});
    },
    leave(subscription) {
      const [n] = [...mine].find(([, other]) => other === subscription) ?? [];
      if (n === undefined) return;
      forget(n);
      if (hub) hub.leave(subscription);
      else {
        post({ to: 'leader', call: 'leave', tab, n });
        if (mine.size === 0) status.set({ state: 'idle' });
      }
    },
    look(isNew) {
      if (hub) hub.look(isNew);
      else post({ to: 'leader', call: 'look' });
    },
    close() {
      for (const all of others.values()) for (const subscription of all.values()) hub?.leave(subscription);
      closing.abort();
      channel.close();
    },
  };
}

/** Errors lose what is their own on the way from one tab to another. */
function toPlain(error: unknown): Refusal & { readonly message: string } {
  const { message = String(error), status, code, feed } = (error ?? {}) as Refusal & { message?: string };
  return { message, status, code, feed };
}

function revived(error: unknown): FeedClientError {
  const { message, ...refusal } = error as Refusal & { message: string };
  return new FeedClientError(message, refusal);
}

function revivedStatus(status: FeedClientStatus): FeedClientStatus {
  return 'error' in status ? { ...status, error: revived(status.error) } : status;
}

function plain(status: FeedClientStatus): FeedClientStatus {
  return 'error' in status ? { ...status, error: toPlain(status.error) } : status;
}
