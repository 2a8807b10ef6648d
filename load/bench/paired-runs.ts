import { type Column, decimals, median } from '../lib/figures.js';
import { type Row, say, type Table, tableOf } from './table.js';

/** What one run of one side found, measure by measure, and what was wrong. */
interface Run {
  figures: number[];
  faults: string[];
}

interface PairedRuns {
  heading: string;
  /** What the first column is called. */
  head: string;
  sides: readonly [string, string];
  servers: readonly { name: string; adapter: string }[];
  /** `most`: the highest ratio that is allowed; without it there is none. */
  measures: readonly { what: string; digits: number; most?: number }[];
  rounds: number;
  run(adapter: string, side: string): Promise<Run>;
}

interface PairedRow extends Row {
  digits: number;
  most: number | undefined;
  first: number[];
  second: number[];
  /** Second ÷ first, round by round: pairs ran one after the other, so their ratios know less of what else the machine did. */
  ratios: number[];
}

/** Two sides take turns, and so does who goes first, since the second of a pair finds a warmer machine. */
export async function pairedRuns({ heading, head, sides, servers, measures, rounds, run }: PairedRuns): Promise<Table[]> {
  const runs = new Map<string, Run[]>();
  for (let round = 1; round <= rounds; round += 1) {
    for (const { name, adapter } of servers) {
      for (const side of round % 2 ? sides : [...sides].reverse()) {
        const found = await run(adapter, side);
        runs.set(name + side, [...(runs.get(name + side) ?? []), found]);
        const told = measures.map(({ what, digits }, n) => `${decimals(found.figures[n], digits)} ${what}`);
        say(`round ${round}: ${name} ${side}: ${[...told, ...found.faults].join(', ')}`);
      }
    }
  }
  const rows = servers.flatMap(({ name }) =>
    measures.map(({ what, digits, most }, n): PairedRow => {
      const [first, second] = sides.map((side) => (runs.get(name + side) ?? []).map(({ figures }) => figures[n]));
      const faults = sides.flatMap((side) => (runs.get(name + side) ?? []).flatMap((found) => found.faults));
      const ratios = second.map((figure, round) => figure / first[round]);
      const isWithin = most === undefined || (median(ratios) ?? Number.POSITIVE_INFINITY) <= most;
      return { name: `${name}: ${what}`, ok: faults.length === 0 && isWithin, faults, digits, most, first, second, ratios };
    }),
  );
  const columns: Column<PairedRow>[] = [
    [head, ({ name, ok }) => (ok ? name : `${name} (FAILED)`)],
    [sides[0], ({ first, digits }) => decimals(median(first), digits)],
    [sides[1], ({ second, digits }) => decimals(median(second), digits)],
    ['ratio', ({ ratios }) => decimals(median(ratios), 3)],
    ['lowest', ({ ratios }) => decimals(Math.min(...ratios), 3)],
    ['highest', ({ ratios }) => decimals(Math.max(...ratios), 3)],
  ];
  if (measures.some(({ most }) => most !== undefined)) columns.push(['must be', ({ most }) => (most === undefined ? '' : `≤ ${most}`)]);
  return [tableOf(heading, rows, columns)];
}
