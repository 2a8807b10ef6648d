import type { ResumeResult, RuleMeasures } from '../stats/measures.js';
import type { FeedReplay } from './feed-replay.js';

/** Measures what is sent of a replay, and how long that takes. */
export class SentReplay {
  private readonly begunAt = performance.now();
  private messages = 0;

  constructor(private readonly measures: RuleMeasures) {}

  /** A message of history is sent. */
  note(): void {
    this.messages += 1;
    this.measures.replayed += 1;
  }

  /** All of it has been sent. */
  finish(): void {
    if (this.messages > 0) this.measures.replay.add((performance.now() - this.begunAt) / 1000);
  }
}

/**
 * How a reader resumes.
 *
 * @param parts of the feeds on which it gave a position
 * @returns undefined where it gave none
 */
export function resultOf(parts: readonly FeedReplay[]): ResumeResult | undefined {
  if (parts.length === 0) return undefined;
  if (parts.some(({ reset }) => reset !== undefined)) return 'reset';
  return parts.some(({ next }) => next !== undefined) ? 'recovered' : 'live';
}
