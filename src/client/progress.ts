import { isAfter, isPosition } from './position.js';

/**
 * Where a client is on its feeds, so that it can go on from there. While it is live, one position says it for all feeds. While history is
 * replayed, a feed that begins elsewhere, or of which something has come, has its own.
 */
export interface Progress {
  /** A feed begins where `since` says, or as one that is new. */
  begin(feed: string, since?: string): void;
  forget(feed: string): void;
  /** Where to begin on a feed when it is asked for the next time. */
  of(feed: string): string;
  /** A message has come. The own ids of a source say nothing of a position. */
  move(feed: string, id: string | undefined, isLive: boolean): void;
  /** All that is stored before a position has come, on these feeds. */
  mark(position: string, feeds: readonly string[]): void;
  /** What the query of a request for some feeds says. */
  since(feeds: readonly string[]): string[];
}

export function createProgress(): Progress {
  const starts = new Map<string, string>();
  let live: string | undefined;
  const forget = (feed: string) => void starts.delete(feed);
  const of = (feed: string) => starts.get(feed) ?? live ?? 'new';
  return {
    ...{ forget, of },
    begin: (feed, since = 'new') => void starts.set(feed, since),
    move(feed, id, isLive) {
      if (!isPosition(id)) return;
      if (isLive) {
        live = id;
        forget(feed);
      } else starts.set(feed, id);
    },
    mark(position, feeds) {
      for (const feed of feeds) {
        const start = starts.get(feed) ?? '';
        // An answer that is cut short has not come as far on other feeds as on this one. What is of another epoch, or no position, is after
        // the position, and before it.
        if (!isAfter(start, position) || isAfter(position, start)) forget(feed);
      }
      live = position;
    },
    since(feeds) {
      const all = feeds.map((feed) => of(feed).split('/')[0]) as [string];
      const [first] = all;
      if (all.some((start) => start !== first)) return feeds.map((feed, n) => `${all[n]}/${feed}`);
      return first === 'new' ? [] : [first];
    },
  };
}
