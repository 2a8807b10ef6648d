/** The faults of a sequence of chunks or messages, which are numbered 1, 2, 3, …. */
export interface SequenceFaults {
  /** Numbers that are missing. */
  missing: number;
  /** Numbers that arrived more than once. */
  repeated: number;
  /** Numbers that arrived after a higher one. */
  outOfOrder: number;
  /** Items of another sequence. */
  misdelivered: number;
}

/**
 * Checks that numbers arrive as 1, 2, 3, … without a gap. A number that arrives late fills its gap, so that it counts as missing or as out of
 * order, never as both.
 */
export class Sequence implements SequenceFaults {
  /** The highest number so far. */
  last = 0;
  repeated = 0;
  outOfOrder = 0;
  misdelivered = 0;
  /** Missing numbers, which may still arrive. Created when the first one is missing. */
  private gaps: Set<number> | undefined = undefined;
  /** How many missing numbers exceed the bound of `gaps`. */
  private uncounted = 0;

  get missing(): number {
    return (this.gaps?.size ?? 0) + this.uncounted;
  }

  /** Whether the number has arrived. */
  has(number: number): boolean {
    return number <= this.last && !this.gaps?.has(number);
  }

  /** Returns whether the number arrived for the first time. */
  take(number: number): boolean {
    if (number === this.last + 1) {
      this.last = number;
    } else if (number > this.last) {
      this.skip(this.last + 1, number);
      this.last = number;
    } else if (this.gaps?.delete(number)) {
      this.outOfOrder += 1;
    } else {
      this.repeated += 1;
      return false;
    }
    return true;
  }

  private skip(from: number, to: number): void {
    this.gaps ??= new Set();
    const kept = Math.min(to - from, Math.max(0, maxGaps - this.gaps.size));
    for (let number = from; number < from + kept; number += 1) this.gaps.add(number);
    this.uncounted += to - from - kept;
  }
}

/** The most missing numbers that are remembered: a faulty server must not exhaust the client's memory. */
const maxGaps = 10_000;

/** The sums of the faults of several sequences. */
export function sumFaults(sequences: SequenceFaults[]): SequenceFaults {
  const sum: SequenceFaults = { missing: 0, repeated: 0, outOfOrder: 0, misdelivered: 0 };
  for (const { missing, repeated, outOfOrder, misdelivered } of sequences) {
    sum.missing += missing;
    sum.repeated += repeated;
    sum.outOfOrder += outOfOrder;
    sum.misdelivered += misdelivered;
  }
  return sum;
}
