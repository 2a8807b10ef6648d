import { type Check, check, decimals, median, megabytes, none, sum } from '../lib/figures.js';
import type { Counts } from '../lib/service.js';

/** What RSS at the end may be of what it was after the first sixth, in a soak of 30 minutes and more. */
const mostGrowth = 1.1;
/** What the heap of a process that has just started, growing to what its load needs, may add: nothing in a soak that lasts so many seconds. */
const [mostWarmUp, warmUpSeconds] = [0.2, 1800];
/** The shortest soak, in seconds, that is more than warm-up, and how RSS may grow in one that is not. */
const [shortest, mostAtFirst] = [300, 2];

/** By how much of its level something may rise in the last two thirds. */
const mostRise = 0.1;
/** How many times in these two thirds counts: the lowest value in each slice, since garbage comes on top until it is collected. */
const slices = 20;

/** The heap that may be left, collected, once all have left: compiled code, and what history keeps for some seconds. */
const heapSlackBytes = 4 * 1024 ** 2;

/** The part of the connections that were asked for which must have come, or the machine was too slow for the soak. */
const leastLoad = 0.9;

/** What the service holds once it is at rest. */
interface Rest {
  descriptors: number;
  heapBytes: number;
  resources: Record<string, number>;
}

/** What it holds at one time, and how many connections are open. */
interface Sample extends Rest {
  /** Seconds since the beginning. */
  at: number;
  open: number;
  rssBytes: number;
}

/** What there is to judge. */
export interface Run {
  options: { rate: number };
  /** Seconds. */
  lasted: number;
  /** Whether it lasted as long as it was to. */
  isWhole: boolean;
  samples: readonly Sample[];
  crowd: { begun: number; answered: number; cut: number; slow: number; received: number; faults: ReadonlyMap<string, number> };
  published: number;
  before: Rest;
  /** At the end; undefined where the service does not answer any more. */
  after?: Rest;
  counts?: Pick<Counts, 'open' | 'feeds' | 'handedOver' | 'bufferedBytes' | 'opened' | 'rejected' | 'closed'>;
  code: number | string;
  /** What the service wrote on stderr. */
  complaints: string;
}

type Read = (sample: Sample) => number;

/** How many there are of all kinds. */
export const total = (resources: Record<string, number>): number => sum(Object.values(resources));

/** What must have no trend, and its level where that is another figure. */
const trends: [what: string, read: Read, level?: Read][] = [
  ['RSS', ({ rssBytes }) => rssBytes],
  ['heap', ({ heapBytes }) => heapBytes],
  ['descriptors beyond the open connections', ({ descriptors, open }) => descriptors - open, ({ descriptors }) => descriptors],
  ['handles beyond the open connections', ({ resources, open }) => total(resources) - open, ({ resources }) => total(resources)],
];

const mean = (values: number[]) => sum(values) / values.length;
const percent = (share: number) => `${decimals(share * 100, 1)} %`;

/** RSS after the first sixth, and at the end: medians of a thirtieth of the time, five seconds at least. */
function growth(samples: readonly Sample[], lasted: number) {
  const span = Math.max(5, lasted / 30);
  const within = (from: number) =>
    median(samples.filter(({ at }) => at > from && at <= from + span).map(({ rssBytes }) => rssBytes)) ?? Number.NaN;
  return { first: within(lasted / 6), last: within(lasted - span) };
}

/** By how much of its level it rises in the last two thirds: the line with the least squares through the slices' lowest values. */
function rise(samples: readonly Sample[], lasted: number, read: Read, level = read): number {
  const begin = lasted / 3;
  const width = (lasted - begin) / slices;
  const counted = samples.filter(({ at }) => at > begin);
  const lowest = Array.from({ length: slices }, (_, n) => {
    const slice = counted.filter(({ at }) => Math.min(slices - 1, Math.floor((at - begin) / width)) === n).map(read);
    return { n, value: Math.min(...slice) };
  }).filter(({ value }) => Number.isFinite(value));
  const [middle, height] = [mean(lowest.map(({ n }) => n)), mean(lowest.map(({ value }) => value))];
  const slope = sum(lowest.map(({ n, value }) => (n - middle) * (value - height))) / sum(lowest.map(({ n }) => (n - middle) ** 2));
  return (slope * slices) / mean(counted.map(level));
}

/** What there is now that was not there at the beginning: descriptors, handles by kind, and the heap. */
function leftovers(before: Rest, after: Rest) {
  const handles = Object.entries(after.resources).map(([kind, count]) => Math.max(0, count - (before.resources[kind] ?? 0)));
  const [descriptors, heapBytes] = [after.descriptors - before.descriptors, after.heapBytes - before.heapBytes];
  return { descriptors: Math.max(0, descriptors), handles: sum(handles), heapBytes };
}

/** Whether nothing is left of all that was there. */
export function isClean(before: Rest, after: Rest): boolean {
  const { descriptors, handles, heapBytes } = leftovers(before, after);
  return descriptors === 0 && handles === 0 && heapBytes <= heapSlackBytes;
}

/** Judges the load: it must have come, and nothing of it may be lost. */
function judgeLoad({ options, lasted, isWhole, crowd, published }: Run): Check[] {
  const least = isWhole ? options.rate * lasted * leastLoad : 0;
  const faults = [...crowd.faults].filter(([, count]) => count > 0);
  return [
    check('connections opened and closed', decimals(crowd.begun), `≥ ${decimals(least)}`, crowd.begun >= least),
    check('messages published, and delivered', `${decimals(published)}, ${decimals(crowd.received)}`, '> 0', crowd.received > 0),
    none('lost, repeated, out of order, refused, cut off', sum(faults.map(([, count]) => count))),
    ...faults.map(([what, count]) => none(`  ${what}`, count)),
  ];
}

/** Judges the samples: nothing may grow with the time. */
function judgeGrowth({ samples, lasted }: Run): Check[] {
  const checks: Check[] = [];
  if (samples.length >= slices) {
    const { first, last } = growth(samples, lasted);
    const ratio = last / first;
    const most = lasted < shortest ? mostAtFirst : mostGrowth + mostWarmUp * Math.max(0, 1 - lasted / warmUpSeconds);
    const what = `RSS at the end ÷ after a sixth (${megabytes(last)} ÷ ${megabytes(first)})`;
    checks.push(check(what, decimals(ratio, 2), `≤ ${decimals(most, 2)}`, ratio <= most));
  }
  if (lasted >= shortest) {
    for (const [what, read, level] of trends) {
      const risen = rise(samples, lasted, read, level);
      checks.push(check(`trend of the ${what}`, percent(risen), `≤ ${percent(mostRise)}`, risen <= mostRise));
    }
  }
  return checks;
}

/** Judges what there is at rest: nothing may be left over, and the books must agree. */
function judgeRest({ crowd, before, after, counts }: Run): Check[] {
  if (!after || !counts) return [check('at rest', 'does not answer', 'nothing left over', false)];
  const left = leftovers(before, after);
  const { open, feeds, handedOver, bufferedBytes, opened, rejected, closed } = counts;
  const { client, slow, stalled, ...others } = closed;
  const { answered, begun, cut } = crowd;
  const ended = slow + stalled;
  return [
    none('descriptors left over', left.descriptors),
    none('handles left over', left.handles),
    check('heap left over', megabytes(left.heapBytes), `≤ ${megabytes(heapSlackBytes)}`, left.heapBytes <= heapSlackBytes),
    none('connections, feeds, unsent bytes that it still counts', open + feeds + handedOver + bufferedBytes),
    check('opened, as it counts', decimals(opened), `${decimals(answered)} to ${decimals(begun)}`, opened >= answered && opened <= begun),
    none('opened that it does not count as closed', opened - total(closed)),
    check('closed as slow or stalled', decimals(ended), `${cut} to ${crowd.slow}`, ended >= cut && ended <= crowd.slow),
    none('closed for another reason, and rejected', total(others) + rejected),
  ];
}

/** Judges a soak. */
export function judge(run: Run): Check[] {
  const { code, complaints } = run;
  return [
    ...judgeLoad(run),
    ...judgeGrowth(run),
    ...judgeRest(run),
    check('ended with', `exit ${code}`, 'exit 0', code === 0),
    check('said on stderr', complaints.trim() || 'nothing', 'nothing', complaints === ''),
  ];
}
