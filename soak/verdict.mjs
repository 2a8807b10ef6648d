import { decimals } from '../bench/table.mjs';

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

/** The heap that may be left, collected, once everybody has gone: compiled code, and what history keeps for some seconds. */
const heapSlackBytes = 4 * 1024 ** 2;

/** The part of the connections that were asked for which must have come, or the machine was too slow for the soak. */
const leastLoad = 0.9;

const trends = [
  ['RSS', ({ rssBytes }) => rssBytes],
  ['heap', ({ heapBytes }) => heapBytes],
  ['descriptors beyond the open connections', ({ descriptors, open }) => descriptors - open, ({ descriptors }) => descriptors],
  ['handles beyond the open connections', ({ resources, open }) => total(resources) - open, ({ resources }) => total(resources)],
];

const sum = (values) => values.reduce((all, value) => all + value, 0);
const mean = (values) => sum(values) / values.length;
const percent = (share) => `${decimals(share * 100, 1)} %`;
const megabytes = (bytes) => `${decimals(bytes / 1024 ** 2, 1)} MB`;

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** How many there are of all kinds. */
export const total = (resources) => sum(Object.values(resources));

/** RSS at the end, as a multiple of what it was after the first sixth: medians of a thirtieth of the time, five seconds at least. */
function growth(samples, lasted) {
  const span = Math.max(5, lasted / 30);
  const within = (from) => median(samples.filter(({ at }) => at > from && at <= from + span).map(({ rssBytes }) => rssBytes));
  const [first, last] = [within(lasted / 6), within(lasted - span)];
  return { first, last, ratio: last / first };
}

/** By how much of its level it rises in the last two thirds: the line with the least squares through the slices' lowest values. */
function rise(samples, lasted, read, level = read) {
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

/** What there is now that was not there before anybody came: descriptors, handles by kind, and the heap. */
export function leftovers(before, after) {
  const handles = Object.entries(after.resources).map(([kind, count]) => Math.max(0, count - (before.resources[kind] ?? 0)));
  return {
    descriptors: after.descriptors - before.descriptors,
    handles: sum(handles),
    heapBytes: after.heapBytes - before.heapBytes,
  };
}

/** Whether nothing is left of all that was there. */
export function isClean({ descriptors, handles, heapBytes }) {
  return descriptors <= 0 && handles <= 0 && heapBytes <= heapSlackBytes;
}

/**
 * Judges a soak.
 *
 * @returns rows of what was looked at: `{ what, figure, bound, ok }`
 */
export function judge({ options, lasted, isWhole, samples, crowd, published, before, after, counts, code, complaints }) {
  const rows = [];
  const check = (what, figure, bound, ok) => rows.push({ what, figure: `${figure}`, bound, ok });
  const none = (what, count) => check(what, decimals(count, 0), '0', count === 0);

  const least = isWhole ? options.rate * lasted * leastLoad : 0;
  check('connections opened and closed', decimals(crowd.begun, 0), `≥ ${decimals(least, 0)}`, crowd.begun >= least);
  check('messages published, and delivered', `${decimals(published, 0)}, ${decimals(crowd.delivered, 0)}`, '> 0', crowd.delivered > 0);
  none('lost, repeated, out of order, refused, cut off', sum([...crowd.faults.values()]));
  for (const [what, count] of crowd.faults) none(`  ${what}`, count);

  if (samples.length >= slices) {
    const { first, last, ratio } = growth(samples, lasted);
    const most = lasted < shortest ? mostAtFirst : mostGrowth + mostWarmUp * Math.max(0, 1 - lasted / warmUpSeconds);
    check(
      `RSS at the end ÷ after a sixth (${megabytes(last)} ÷ ${megabytes(first)})`,
      decimals(ratio, 2),
      `≤ ${decimals(most, 2)}`,
      ratio <= most,
    );
  }
  if (lasted >= shortest) {
    for (const [what, read, level] of trends) {
      const risen = rise(samples, lasted, read, level);
      check(`trend of the ${what}`, percent(risen), `≤ ${percent(mostRise)}`, risen <= mostRise);
    }
  }

  if (!after) {
    check('at rest', 'does not answer', 'nothing left over', false);
  } else {
    const left = leftovers(before, after);
    const { open, feeds, handedOver, bufferedBytes, opened, rejected, closed } = counts;
    none('descriptors left over', Math.max(0, left.descriptors));
    none('handles left over', left.handles);
    check('heap left over', megabytes(left.heapBytes), `≤ ${megabytes(heapSlackBytes)}`, left.heapBytes <= heapSlackBytes);
    none('connections, feeds, unsent bytes that it still counts', open + feeds + handedOver + bufferedBytes);
    const { client, slow, stalled, ...others } = closed;
    const { answered, begun, cut } = crowd;
    const range = `${decimals(answered, 0)} to ${decimals(begun, 0)}`;
    check('opened, as it counts', decimals(opened, 0), range, opened >= answered && opened <= begun);
    none('opened that it does not count as closed', opened - total(closed));
    check(
      'closed as slow or stalled',
      decimals(slow + stalled, 0),
      `${cut} to ${crowd.slow}`,
      slow + stalled >= cut && slow + stalled <= crowd.slow,
    );
    none('closed for another reason, and rejected', total(others) + rejected);
  }
  check('ended with', `exit ${code}`, 'exit 0', code === 0);
  check('said on stderr', complaints.trim() || 'nothing', 'nothing', complaints === '');
  return rows;
}
