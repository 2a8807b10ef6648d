/** How many slots the feeds share: 1 MiB, whatever the number of feeds. */
const slots = 65_536;

/**
 * Remembers up to which offset messages have been trimmed, and when the last of these was stored, for feeds of which nothing is stored any
 * more.
 *
 * Feeds share slots by a hash, so that a feed costs no memory here. A feed that shares its slot may get a reset because of the other
 * feed's messages; a reset is never missed.
 */
export class TrimmedOffsets {
  private offsets: Float64Array | undefined = undefined;
  private times: Float64Array | undefined = undefined;

  /** @param time in milliseconds since 1970 */
  note(feed: string, offset: number, time: number): void {
    this.offsets ??= new Float64Array(slots);
    this.times ??= new Float64Array(slots);
    const slot = slotOf(feed);
    this.offsets[slot] = Math.max(this.offsets[slot] as number, offset);
    this.times[slot] = Math.max(this.times[slot] as number, time);
  }

  /** The offset up to which messages of the feed may have been trimmed; 0 for none. */
  offsetOf(feed: string): number {
    return this.offsets?.[slotOf(feed)] ?? 0;
  }

  /** The time up to which they may have been stored; 0 for none. */
  timeOf(feed: string): number {
    return this.times?.[slotOf(feed)] ?? 0;
  }
}

/** FNV-1a, folded to the number of slots. */
function slotOf(feed: string): number {
  let hash = 0x811c9dc5;
  for (let n = 0; n < feed.length; n += 1) hash = Math.imul(hash ^ feed.charCodeAt(n), 0x01000193);
  return ((hash >>> 16) ^ hash) & (slots - 1);
}
