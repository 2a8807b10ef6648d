import { isAfter } from './position.js';

/**
 * Where a client is on its feeds, so that it can go on from there. While it is live, one position says it for all feeds. While history is
 * replayed, a feed that begins elsewhere, or of which something has come, has its own.
 */
export class Cursor {
  #position: string | undefined;
  readonly #starts = new Map<string, string>();

  /** A feed begins where `since` says, or as one that is new. */
  begin(feed: string, since = 'new'): void {
    this.#starts.set(feed, since);
  }

  forget(feed: string): void {
    this.#starts.delete(feed);
  }

  /** Where to begin on a feed when it is asked for the next time. */
  of(feed: string): string {
    return this.#starts.get(feed) ?? this.#position ?? 'new';
  }

  /** A message has come. */
  move(feed: string, id: string, isLive: boolean): void {
    if (isLive) {
      this.#position = id;
      this.#starts.delete(feed);
    } else this.#starts.set(feed, id);
  }

  /** All that is stored before a position has come, on these feeds. */
  mark(position: string, feeds: Iterable<string>): void {
    for (const feed of feeds) {
      const start = this.#starts.get(feed) ?? '';
      // An answer that is cut short has not come as far on other feeds as on this one. What is of another epoch, or no position, is after the
      // position, and before it.
      if (!isAfter(start, position) || isAfter(position, start)) this.#starts.delete(feed);
    }
    this.#position = position;
  }

  /** What the query of a request for some feeds says. */
  since(feeds: readonly string[]): string[] {
    const starts = feeds.map((feed) => this.of(feed).split('/')[0]);
    const [first] = starts as [string];
    if (starts.every((start) => start === first)) return first === 'new' ? [] : [first];
    return feeds.map((feed, n) => `${starts[n]}/${feed}`);
  }
}
