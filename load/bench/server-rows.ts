import { join } from 'node:path';
import { type Column, decimals, median, sum } from '../lib/figures.js';
import type { Start } from '../lib/server.js';
import { flood, type Report, scratch } from './flood.js';
import type { Entry } from './servers.js';
import { type Row, say } from './table.js';

export interface ServerRunOptions {
  servers: readonly Entry[];
  connections: number;
  duration: number;
  rounds: number;
}

/** A server's row, with the reports of its runs. */
export interface ServerRow extends Row {
  role: Entry['role'];
  faults: string[];
  reports: Report[];
}

/** Something that a report tells of a server. */
export type Read = (report: Report) => number | null | undefined;

/** The median of the runs. */
export const medianOf = ({ reports }: ServerRow, read: Read) => median(reports.map((report) => read(report) ?? undefined));
export const shown = (head: string, read: Read, digits = 1): Column<ServerRow> => [head, (row) => decimals(medianOf(row, read), digits)];
/** Faults of single runs are not for a median to hide. */
export const total = (head: string, read: (publish: NonNullable<Report['publish']>) => number): Column<ServerRow> => [
  head,
  ({ reports }) => decimals(sum(reports.map(({ publish }) => (publish ? read(publish) : 0)))),
];

/** What each server costs beside the floor and beside Go, where those ran. */
export function besidePeers(rows: readonly ServerRow[], read: Read): Column<ServerRow>[] {
  const beside = (role: Entry['role']) => (row: ServerRow) => {
    const peer = rows.find((other) => other.role === role);
    return decimals((medianOf(row, read) ?? Number.NaN) / ((peer && medianOf(peer, read)) ?? Number.NaN), 2);
  };
  return [
    ['× C', beside('floor')],
    ['× Go', beside('go')],
  ];
}

/**
 * Runs the same flood against each server, in rounds: each server once, then each of them once more. What the machine does beside
 * this then falls on all of them alike.
 *
 * @param env what a server's environment has beside its own
 * @param flags what flood is told beside the server's address and process
 * @param told what is told of each run, and its unit
 */
export async function serverRows(
  { servers, rounds, connections, duration }: ServerRunOptions,
  env: NodeJS.ProcessEnv,
  flags: Record<string, string | number>,
  told: readonly (readonly [read: Read, unit: string])[],
): Promise<ServerRow[]> {
  const directory = scratch();
  const started: [ServerRow, Start][] = [];
  for (const { name, role, prepare } of servers) {
    const start = await prepare(directory);
    if (typeof start === 'string') say(`${name}: left out, ${start}`);
    else
      started.push([
        { name, role, ok: true, faults: [], reports: [] },
        { ...start, env: { ...start.env, ...env } },
      ]);
  }
  for (let round = 1; round <= rounds; round += 1) {
    for (const [row, start] of started) {
      const { report, faults } = await flood(start, { connections, duration, ...flags }, join(directory, 'flood.json'));
      if (report) row.reports.push(report);
      if (faults.length > 0) row.faults.push(`round ${round}: ${faults.join('; ')}`);
      row.ok = row.faults.length === 0;
      const figures = report && told.map(([read, unit]) => `${decimals(read(report) ?? undefined, 1)} ${unit}`);
      say(`round ${round}: ${row.name}: ${figures && faults.length === 0 ? figures.join(', ') : `FAILED: ${faults.join('; ')}`}`);
    }
  }
  return started.map(([row]) => row);
}
