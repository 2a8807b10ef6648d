/** Whether `since` is a position, or a message's id, and not one of the words that `since` may be. */
export function isPosition(since: string | undefined): since is string {
  return /^\w+-\d+(\/|$)/.test(since ?? '');
}

/**
 * Whether one position comes after another. Ids of messages count as their positions. Those of different epochs cannot be
 * compared: the newer one counts.
 */
export function isAfter(position: string, other: string): boolean {
  const dash = position.indexOf('-') + 1;
  return (
    position.slice(0, dash) !== other.slice(0, dash) || Number.parseInt(position.slice(dash), 10) > Number.parseInt(other.slice(dash), 10)
  );
}
