import type { FeedStorage } from './options.js';
import { isPosition } from './position.js';

/** How often positions are stored, in milliseconds. */
const storeMs = 500;

/** Keeps positions in a storage, from one page load to the next. */
export interface Positions {
  /** Keeps the position of a feed from now on; returns where it goes on, undefined where the page has not followed it before. */
  begin(feed: string): string | undefined;
  /** The feed has ended: nothing is left to go on with. */
  forget(feed: string): void;
  /** Stores what has changed, now. */
  store(): void;
  close(): void;
}

/**
 * @param key the storage's item
 * @param positionOf where the client is on a feed
 */
export function createPositions(storage: FeedStorage, key: string, positionOf: (feed: string) => string): Positions {
  const known = read(storage, key);
  const feeds = new Set<string>();
  let timer: ReturnType<typeof setInterval> | undefined;
  let written = '';
  const store = () => {
    for (const feed of feeds) if (isPosition(positionOf(feed))) known[feed] = positionOf(feed);
    const text = JSON.stringify(known);
    if (text === written) return;
    written = text;
    try {
      storage.setItem(key, text);
    } catch {} // a full storage, or one that the browser forbids, must not end the feeds
  };
  return {
    store,
    begin(feed) {
      timer ??= setInterval(store, storeMs);
      feeds.add(feed);
      return known[feed];
    },
    forget(feed) {
      feeds.delete(feed);
      delete known[feed];
      store();
    },
    close() {
      store();
      clearInterval(timer);
    },
  };
}

function read(storage: FeedStorage, key: string): Record<string, string> {
  try {
    return JSON.parse(storage.getItem(key) ?? '{}') ?? {};
  } catch {
    return {};
  }
}
