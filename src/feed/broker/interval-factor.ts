/**
 * How many times longer than a process alone each of many waits before it repeats something: together they then repeat it as often as a few.
 *
 * @param few how many processes each repeat it as often as one alone
 */
export function intervalFactor(processes: number, few: number): number {
  return Math.max(1, processes / few);
}
