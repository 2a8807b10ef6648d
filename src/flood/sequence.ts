/** What was wrong with what came: chunks or messages that are numbered 1, 2, 3, …. */
export interface SequenceFaults {
  /** Numbers that were passed over and never came. */
  missing: number;
  /** Numbers that came more than once. */
  repeated: number;
  /** Numbers that came after a higher one. */
  outOfOrder: number;
  /** What belongs to another sequence. */
  misdelivered: number;
}

/**
 * Checks that what comes counts 1, 2, 3, … without a gap. A number that comes late takes its gap back, so that it counts as
 * missing or as out of order, never as both.
 */
export class Sequence implements SequenceFaults {
  /** The highest number there was. */
  last = 0;
  repeated = 0;
  outOfOrder = 0;
  misdelivered = 0;
  /** What was passed over and may still come: made when it is first needed, which in a healthy run is never. */
  private gaps: Set<number> | undefined = undefined;
  /** Numbers passed over that are too many to be kept. */
  private uncounted = 0;

  get missing(): number {
    return (this.gaps?.size ?? 0) + this.uncounted;
  }

  /** Whether the number has come. */
  has(number: number): boolean {
    return number <= this.last && !this.gaps?.has(number);
  }

  /** Returns whether the number came for the first time. */
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

/** A server that sends nonsense must not take the client's memory. */
const maxGaps = 10_000;

/** The faults of several sequences together. */
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
