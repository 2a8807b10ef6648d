import type { FloodReport, FloodSample } from './report.js';

/** The CPU use of one kernel thread, or of several that each used little. */
export interface ThreadCurve {
  /** Distinct among the curves of a report. */
  name: string;
  /** Per cent of one core, a value for each of the curves' times. */
  percent: number[];
  /** Whether it is the sum of the threads that used next to nothing. */
  isRest?: boolean;
}

/** A report's samples as curves over one row of times. */
export interface Curves {
  /** Seconds since the flood began, from 1 on. */
  seconds: number[];
  /** Threads by what they used, most first; the merged rest comes last. Empty when the process was not sampled. */
  threads: ThreadCurve[];
  /** Resident memory in megabytes; null where the process was gone. Undefined when it was not sampled. */
  memory: (number | null)[] | undefined;
  /** Connections begun so far. */
  begun: number[];
  /** Connections open. */
  open: number[];
}

/** A thread that never used as much, in per cent of one core, is not worth a colour. */
const least = 0.5;

/** A timer may fire a little early: a sample taken then still is the one of the first second. */
const firstSecond = 0.9;

/** How many samples are kept of each decade of time: on a logarithmic axis, more could not be told apart. */
const perDecade = 200;

/** What the picture of a flood shows. */
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

/** The last sample of each small step on the logarithmic axis. Counts go on from sample to sample, so that nothing is lost. */
function thin(samples: FloodSample[]): FloodSample[] {
  const step = ({ at }: FloodSample) => (at < firstSecond ? -1 : Math.floor(Math.log10(at) * perDecade));
  return samples.filter((sample, n) => {
    const next = samples[n + 1];
    return !next || step(next) !== step(sample);
  });
}

/** CPU time used between the samples, as a curve for each thread. A thread is its id: its name may change. */
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
      // Without a sample before, or of a thread that has ended, there is nothing to tell; a new thread began with nothing.
      if (!before || !known || known.size === 0) return [0];
      const used = (seconds[n]?.get(id) ?? 0) - (known.get(id) ?? 0);
      return [Math.max(0, (used / (at - before.at)) * 100)];
    }),
  }));
}

/** Sorts the curves by what they sum up to, and makes one of those that stay near zero. */
function merge(curves: ThreadCurve[]): ThreadCurve[] {
  const sum = ({ percent }: ThreadCurve) => percent.reduce((total, value) => total + value, 0);
  const matters = ({ percent }: ThreadCurve) => percent.some((value) => value >= least);
  const shown = curves.filter(matters).sort((a, b) => sum(b) - sum(a));
  const rest = curves.filter((curve) => !matters(curve));
  if (rest.length === 0) return shown;
  const percent = (rest[0] as ThreadCurve).percent.map((_, n) => rest.reduce((total, curve) => total + (curve.percent[n] ?? 0), 0));
  return [...shown, { name: `${rest.length} ${rest.length === 1 ? 'other' : 'others'}`, percent, isRest: true }];
}

/** A thread's name may hold any bytes; XML allows no control characters. */
function printable(name: string): string {
  return name.replace(/\p{C}/gu, '?');
}
