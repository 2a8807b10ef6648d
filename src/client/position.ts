/** Whether `since` is a position, or a message's id, and not one of the words that `since` may be. */
export function isPosition(since: string | undefined): since is string {
  return /^\w+-\d+(\/|$)/.test(since ?? '');
}

/**
 * Whether one position comes after another. Ids of messages count as their positions. Those of different epochs cannot be
 * compared: the newer one counts.
 */
export function isAfter(position: string, other: string): boolean {
  const [epoch, offset] = position.split(/[-/]/);
  const [otherEpoch, otherOffset] = other.split(/[-/]/);
  return epoch !== otherEpoch || Number(offset) > Number(otherOffset);
}
