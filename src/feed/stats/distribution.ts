/** Counts values by bounds, as a histogram of Prometheus does; adding one allocates nothing. */
export class Distribution {
  sum = 0;
  count = 0;
  /** How many values are in each: up to its bound, and above the one before; the last is for what is above all bounds. */
  readonly counts: Float64Array;

  /** @param bounds in ascending order */
  constructor(readonly bounds: readonly number[]) {
    this.counts = new Float64Array(bounds.length + 1);
  }

  add(value: number): void {
    const { bounds, counts } = this;
    let n = 0;
    while (n < bounds.length && value > (bounds[n] as number)) n += 1;
    counts[n] = (counts[n] as number) + 1;
    this.sum += value;
    this.count += 1;
  }
}
