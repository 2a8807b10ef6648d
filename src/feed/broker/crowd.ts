/** Up to so many nodes, each looks after their server as often as one alone. */
const fewLookers = 4;

/**
 * How many times as long each of many nodes waits before it does something again that only a few of them should do as often as one alone.
 *
 * @param few how many that are. Default: those that look after their server
 */
export function crowding(nodes: number, few = fewLookers): number {
  return Math.max(1, nodes / few);
}
