import type { FeedStorage, ResolvedOptions } from './options.js';
import { isPosition } from './position.js';

/** How often positions are stored, in milliseconds. */
const storeMs = 500;

/** Keeps positions in a storage, from one page load to the next. */
export interface Positions {
  /**
   * Keeps the position of a feed from now on, for one who follows it.
   *
   * @returns where it goes on; undefined where no page has followed it before
   */
  begin(feed: string, follower: object): string | undefined;
  /** Stores where a follower's feeds are for the last time. */
  leave(follower: object): void;
  /** The feed has ended: nothing is left to go on with. */
  forget(feed: string): void;
  /** Stores what has changed, now. */
  store(): void;
}

/** @param positionOf where the client is on a feed */
export function createPositions({ url, resume }: ResolvedOptions, positionOf: (feed: string) => string | undefined): Positions {
  const storage = resume as FeedStorage;
  const key = `nestjs-feed:${url}`;
  const followers = new Map<object, Set<string>>();
  /** What this page has stored. */
  const stored = new Map<string, string | undefined>();
  let timer: ReturnType<typeof setInterval> | undefined;

  /** Other tabs may have stored theirs in the meantime: only these feeds are changed. */
  const write = (changes: Iterable<readonly [feed: string, position: string | undefined]>) => {
    const all = read(storage, key);
    for (const [feed, position] of changes) {
      all[feed] = position;
      stored.set(feed, position);
    }
    try {
      storage.setItem(key, JSON.stringify(all));
    } catch {} // a full storage, or one that the browser forbids, must not end the feeds
  };
  const store = () => {
    const feeds = [...new Set([...followers.values()].flatMap((followed) => [...followed]))];
    const changes = feeds.map((feed) => [feed, positionOf(feed)] as const);
    const changed = changes.filter(([feed, position]) => isPosition(position) && position !== stored.get(feed));
    if (changed.length > 0) write(changed);
  };
  return {
    store,
    begin(feed, follower) {
      timer ??= setInterval(store, storeMs);
      followers.set(follower, (followers.get(follower) ?? new Set()).add(feed));
      const position = read(storage, key)[feed];
      return isPosition(position) ? position : undefined;
    },
    leave(follower) {
      store();
      followers.delete(follower);
      if (followers.size > 0) return;
      clearInterval(timer);
      timer = undefined;
    },
    forget(feed) {
      for (const followed of followers.values()) followed.delete(feed);
      write([[feed, undefined]]);
    },
  };
}

/** A feed may have any name, such as `constructor`: so it has no prototype. */
function read(storage: FeedStorage, key: string): Record<string, string | undefined> {
  const all = Object.create(null);
  try {
    return Object.assign(all, JSON.parse(storage.getItem(key) ?? '{}'));
  } catch {
    return all;
  }
}
