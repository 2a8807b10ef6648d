import { createHistogram } from 'node:perf_hooks';

/** Percentiles and the maximum of durations, in milliseconds. All 0 if there were none. */
export interface DurationSummary {
  p50: number;
  p99: number;
  max: number;
}

/** A histogram of durations, with a resolution of a microsecond. */
export class Durations {
  private readonly histogram = createHistogram();

  record(ms: number): void {
    this.histogram.record(Math.max(1, Math.round(ms * 1000)));
  }

  summary(): DurationSummary {
    const { histogram } = this;
    if (histogram.count === 0) return { p50: 0, p99: 0, max: 0 };
    return { p50: histogram.percentile(50) / 1000, p99: histogram.percentile(99) / 1000, max: histogram.max / 1000 };
  }
}
