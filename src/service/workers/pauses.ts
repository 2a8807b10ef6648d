/** The shortest and the longest pause, in milliseconds. */
const shortestMs = 200;
const longestMs = 30_000;
/** How long a worker must have lived for its end not to count as one more failure, in milliseconds. */
const livedMs = 30_000;

/** How long to wait before the next worker is started: twice as long each time, less up to a half at random. */
export class Pauses {
  private failures = 0;

  /**
   * @param lived how long the last worker lived, in milliseconds
   * @returns a pause in milliseconds
   */
  after(lived: number): number {
    if (lived >= livedMs) this.failures = 0;
    const longest = Math.min(longestMs, shortestMs * 2 ** this.failures);
    this.failures += 1;
    return longest * (1 - Math.random() / 2);
  }
}
