import type { FloodReport, FloodSample } from './report.js';

/** The CPU use of a kernel thread, or of several that each used little. */
interface ThreadCurve {
  /** Unique among the curves of a report. */
  name: string;
  /** In per cent of one core, a value for each time. */
  percent: number[];
  /** Whether it is the sum of the threads that used little. */
  isRest?: boolean;
}

/** A report's samples as curves over time. */
export interface Curves {
  /** Seconds since the flood began, from 1 on. */
  seconds: number[];
  /** Threads by their CPU use in descending order, then the merged rest. Empty if the process was not sampled. */
  threads: ThreadCurve[];
  /** Resident memory in megabytes; null after the process exited. Undefined if it was not sampled. */
  memory: (number | null)[] | undefined;
  /** Connections started so far. */
  begun: number[];
  /** Open connections. */
  open: number[];
}

/** Threads that never used this much are merged, in per cent of one core. */
const minPercent = 0.5;

/** The earliest time of the first second's sample, in seconds: a timer may fire a little early. */
const firstSecond = 0.9;

/** How many samples are kept of each decade of time: on a logarithmic axis, more would not be visible. */
const perDecade = 200;

/** The curves of a report. */
export function curvesOf({ samples, server }: FloodReport): Curves {
  const kept = thin(samples);
  const shown = kept.filter(({ at }) => at >= firstSecond);
  return {
    seconds: shown.map(({ at }) => Math.max(1, at)),
    threads: merge(threadCurves(kept, server?.pid)),
    memory: shown.some(({ rssBytes }) => rssBytes !== undefined)
      ? shown.map(({ rssBytes }) => (rssBytes === undefined ? null : rssBytes / 1024 / 1024))
      : undefined,
    begun: shown.map(({ begun }) => begun),
    open: shown.map(({ open }) => open),
  };
}

/** Keeps the last sample of each step on the logarithmic axis. Counts are cumulative, so that nothing is lost. */
function thin(samples: FloodSample[]): FloodSample[] {
  const step = ({ at }: FloodSample) => (at < firstSecond ? -1 : Math.floor(Math.log10(at) * perDecade));
  return samples.filter((sample, n) => {
    const next = samples[n + 1];
    return !next || step(next) !== step(sample);
  });
}

/** The CPU use between the samples, as a curve for each thread. Threads are identified by id, since names may change. */
function threadCurves(samples: FloodSample[], pid: number | undefined): ThreadCurve[] {
  const names = new Map<string, string>();
  const seconds = samples.map(({ threads }) => {
    const byId = new Map<string, number>();
    for (const [idAndName, cpuSeconds] of Object.entries(threads ?? {})) {
      const id = idAndName.split(' ', 1)[0] as string;
      names.set(id, idAndName.slice(id.length + 1));
      byId.set(id, cpuSeconds);
    }
    return byId;
  });
  return [...names].map(([id, name]) => ({
    name: `${printable(name)} ${Number(id) === pid ? '(main)' : id}`,
    percent: samples.flatMap(({ at }, n) => {
      if (at < firstSecond) return [];
      const before = samples[n - 1];
      const known = seconds[n - 1];
      // Unknown without an earlier sample, and after the process exited. A new thread starts at 0.
      if (!before || !known || known.size === 0) return [0];
      const used = (seconds[n]?.get(id) ?? 0) - (known.get(id) ?? 0);
      return [Math.max(0, (used / (at - before.at)) * 100)];
    }),
  }));
}

/** Sorts the curves by their sums, and merges those that stay near zero. */
function merge(curves: ThreadCurve[]): ThreadCurve[] {
  const sum = ({ percent }: ThreadCurve) => percent.reduce((total, value) => total + value, 0);
  const isVisible = ({ percent }: ThreadCurve) => percent.some((value) => value >= minPercent);
  const shown = curves.filter(isVisible).sort((a, b) => sum(b) - sum(a));
  const rest = curves.filter((curve) => !isVisible(curve));
  if (rest.length === 0) return shown;
  const percent = (rest[0] as ThreadCurve).percent.map((_, n) => rest.reduce((total, curve) => total + (curve.percent[n] ?? 0), 0));
  return [...shown, { name: `${rest.length} ${rest.length === 1 ? 'other' : 'others'}`, percent, isRest: true }];
}

/** Replaces control characters, which a thread's name may contain and XML does not allow. */
function printable(name: string): string {
  return name.replace(/\p{C}/gu, '?');
}
