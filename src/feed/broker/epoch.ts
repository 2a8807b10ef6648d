/** A name for what offsets count in that no other broker has: made where there are no messages yet. */
export function newEpoch(): string {
  return `${Date.now().toString(36)}${Math.floor(Math.random() * 36 ** 4).toString(36)}`;
}
