import { cpus, release } from 'node:os';

/** A number with as many decimals as its column shows; what was not measured is a dash. */
export function decimals(value: number | undefined, digits = 0): string {
  if (value === undefined) return '–';
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export const inMegabytes = (bytes: number): string => decimals(bytes / 1024 ** 2, 1);
export const megabytes = (bytes: number): string => `${inMegabytes(bytes)} MB`;

export const sum = (values: Iterable<number>): number => [...values].reduce((all, value) => all + value, 0);

/** The median; of an even count the mean of the middle two; undefined of nothing. What is no number does not count. */
export function median(values: readonly (number | undefined)[]): number | undefined {
  const sorted = values.filter((value): value is number => Number.isFinite(value)).sort((a, b) => a - b);
  if (sorted.length === 0) return undefined;
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The value that a share of all values does not exceed; 0 of nothing. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}

/** A column of a table: its head, and a row's cell. */
export type Column<Row> = readonly [head: string, cell: (row: Row) => string];

/**
 * Lays rows out as a table: the first column to the left, the others to the right.
 *
 * @param markdown as GitHub reads it, instead of for a terminal
 */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], markdown = false): string {
  const lines = [columns.map(([head]) => head), ...rows.map((row) => columns.map(([, cell]) => cell(row)))];
  const cells = markdown ? lines.map((line) => line.map((cell) => cell.replaceAll('|', '\\|'))) : lines;
  const widths = columns.map((_, column) => Math.max(3, ...cells.map((line) => line[column].length)));
  const [top, ...others] = cells.map((line) =>
    line.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))),
  );
  if (!markdown) return [top, widths.map((width) => '-'.repeat(width)), ...others].map((line) => line.join('  ')).join('\n');
  const rule = widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [top, rule, ...others].map((line) => `| ${line.join(' | ')} |`).join('\n');
}

/** Something that must hold: what was found, and its bound. */
export interface Check {
  what: string;
  figure: string;
  bound: string;
  ok: boolean;
}

export const check = (what: string, figure: string, bound: string, ok: boolean): Check => ({ what, figure, bound, ok });

/** There must be none of it. */
export const none = (what: string, count: number): Check => check(what, decimals(count), '0', count === 0);

export const okColumn: Column<{ ok: boolean }> = ['ok', ({ ok }) => (ok ? 'ok' : 'FAILED')];

export const checkTable = (checks: readonly Check[]): string =>
  table([['what', ({ what }) => what], ['figure', ({ figure }) => figure], ['must be', ({ bound }) => bound], okColumn], checks);

/** What figures come from. */
export const machine = { node: process.version, kernel: release(), cpu: cpus()[0]?.model, cpus: cpus().length };
