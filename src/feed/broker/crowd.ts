/** Up to so many nodes, each looks after their server as often as one alone. */
const fewNodes = 4;

/** How many times as long each of so many nodes waits before it looks after their server again: all together ask it no more than a few do. */
export function crowding(nodes: number): number {
  return Math.max(1, nodes / fewNodes);
}
