import type { FeedStorage } from './options.js';
import { isPosition } from './position.js';

/** How often positions are stored, in milliseconds. */
const storeMs = 500;

/** Keeps positions in a storage, from one page load to the next. */
export class Positions {
  private readonly known: Record<string, string>;
  private timer: ReturnType<typeof setInterval> | undefined = undefined;

  /**
   * @param key the storage's item
   * @param positionOf where the client is on a feed
   */
  constructor(
    private readonly storage: FeedStorage,
    private readonly key: string,
    private readonly positionOf: (feed: string) => string | undefined,
  ) {
    this.known = read(storage, key);
  }

  /** Where a feed goes on; undefined where the page has not followed it before. */
  begin(feed: string): string | undefined {
    this.timer ??= setInterval(this.store, storeMs);
    return this.known[feed];
  }

  /** The feed is over: nothing is left to go on with. */
  forget(feed: string): void {
    delete this.known[feed];
    this.feeds.delete(feed);
    this.write();
  }

  readonly feeds = new Set<string>();

  readonly store = (): void => {
    let hasChanged = false;
    for (const feed of this.feeds) {
      const position = this.positionOf(feed);
      if (!isPosition(position) || this.known[feed] === position) continue;
      this.known[feed] = position;
      hasChanged = true;
    }
    if (hasChanged) this.write();
  };

  close(): void {
    this.store();
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** A full storage, or one that a browser forbids, must not end the feeds. */
  private write(): void {
    try {
      this.storage.setItem(this.key, JSON.stringify(this.known));
    } catch {}
  }
}

function read(storage: FeedStorage, key: string): Record<string, string> {
  try {
    return JSON.parse(storage.getItem(key) ?? '{}') ?? {};
  } catch {
    return {};
  }
}
