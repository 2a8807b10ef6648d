import { type Check, type Column, okColumn, table } from '../lib/figures.js';

export const say = (line: string): boolean => process.stderr.write(`${line}\n`);

/** What every row of the bench has. */
export interface Row {
  name: string;
  ok: boolean;
  /** What was wrong, in words. */
  faults?: string[];
}

/** A table of the bench: what was measured, and how it is shown. */
export interface Table {
  heading: string;
  rows: readonly Row[];
  text(markdown: boolean | undefined): string;
}

export function tableOf<R extends Row>(heading: string, rows: readonly R[], columns: readonly Column<R>[]): Table {
  return { heading, rows, text: (markdown) => table(columns, rows, markdown) };
}

/** What must hold, beside its bounds. */
export const checksOf = (heading: string, checks: readonly Check[]): Table =>
  tableOf(
    heading,
    checks.map((each) => ({ ...each, name: each.what })),
    [['what', ({ what }) => what], ['figure', ({ figure }) => figure], ['must be', ({ bound }) => bound], okColumn],
  );

/** The first column; where no other one says so, with whether the row is ok. */
export const serverColumn: Column<Row> = ['server', ({ name }) => name];
export const markedServerColumn: Column<Row> = ['server', ({ name, ok }) => (ok ? name : `${name} (FAILED)`)];

export const runs = (count: number): string => (count === 1 ? 'one run' : `medians of ${count} runs`);
