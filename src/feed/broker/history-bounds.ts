/** How much of a feed a broker stores. */
export interface FeedBounds {
  /** Messages of each feed. */
  readonly historyLength: number;
  /** How long a message is stored, in milliseconds. */
  readonly historyTtlMs: number;
  /** Bytes of each feed. */
  readonly historyBytes: number;
  /** Whether the newest message of a feed is stored for longer, unless it is the feed's end. Default: false. */
  readonly keepNewest?: boolean | undefined;
}

/** The bounds of feeds for which a rule has others. */
export interface Retention {
  /** The bounds of a feed; undefined where no rule says anything of them. It is asked for each message. */
  of(feed: string): FeedBounds | undefined;
  /** Those of each rule. */
  readonly all: readonly FeedBounds[];
}

/** How much of the feeds a broker stores. */
export interface HistoryBounds extends FeedBounds {
  /** Bytes of all feeds together. */
  readonly historyTotalBytes: number;
  /** How long the key of a publication is known, in milliseconds. */
  readonly idempotencyMs: number;
  /** What rules say of some feeds. Default: nothing; all feeds have these bounds. */
  readonly retention?: Retention | undefined;
}

/** The bounds of a feed. */
export function boundsOf(bounds: HistoryBounds, feed: string): FeedBounds {
  return bounds.retention?.of(feed) ?? bounds;
}

/** All bounds that feeds may have. */
export function allBounds(bounds: HistoryBounds): readonly FeedBounds[] {
  return [bounds, ...(bounds.retention?.all ?? [])];
}

/** The longest time for which a message of any feed is stored, in milliseconds. */
export function longestTtlMs(bounds: HistoryBounds): number {
  return Math.max(...allBounds(bounds).map(({ historyTtlMs }) => historyTtlMs));
}

/** What a message counts as beside its text and its names, in bytes: itself, its entry, and the room that V8 keeps free around them. */
export const messageOverhead = 512;

/** What a text takes in the memory of this process, in bytes: V8 has one byte or two for each of its characters. */
export function textBytes(text: string): number {
  const utf8 = Buffer.byteLength(text);
  return utf8 === text.length ? utf8 : Math.max(utf8, 2 * text.length);
}
