/** How many slots feeds share: 512 KiB, whatever the number of feeds. */
const slots = 65_536;

/**
 * Remembers up to which offset messages are gone, for feeds of which nothing else is known any more.
 *
 * Feeds share slots by a hash, so that a feed costs nothing here. One that shares its slot may be told that messages are gone which
 * were another's: a reset too many, never a gap that nobody tells of.
 */
export class TrimmedOffsets {
  private offsets: Float64Array | undefined = undefined;

  note(feed: string, offset: number): void {
    this.offsets ??= new Float64Array(slots);
    const slot = slotOf(feed);
    this.offsets[slot] = Math.max(this.offsets[slot] as number, offset);
  }

  /** The offset up to which messages of the feed may be gone; 0 for none. */
  offsetOf(feed: string): number {
    return this.offsets?.[slotOf(feed)] ?? 0;
  }
}

/** FNV-1a, folded to the number of slots. */
function slotOf(feed: string): number {
  let hash = 0x811c9dc5;
  for (let n = 0; n < feed.length; n += 1) hash = Math.imul(hash ^ feed.charCodeAt(n), 0x01000193);
  return ((hash >>> 16) ^ hash) & (slots - 1);
}
