import { decimals } from '../lib/figures.js';
import { besidePeers, medianOf, type Read, type ServerRow, type ServerRunOptions, serverRows, shown } from './server-rows.js';
import { markedServerColumn, tableOf } from './table.js';

export const kilobytes: Read = ({ server }) => server && server.bytesPerConnection / 1024;
export const micros: Read = ({ server }) => server?.cpuMicrosPerChunk;

/** What an open response costs on each server. */
export async function streams(heading: string, period: number, options: ServerRunOptions) {
  const told = [
    [kilobytes, 'KB a connection'],
    [micros, 'µs a chunk'],
  ] as const;
  const rows = await serverRows(options, { FEED_INTERVAL_MS: `${period}` }, {}, told);
  const kilobytesCell = (row: ServerRow) => {
    const value = medianOf(row, kilobytes);
    return decimals(value, value !== undefined && value < 1 ? 2 : 1);
  };
  const table = tableOf(heading, rows, [
    markedServerColumn,
    ['KB/conn', kilobytesCell],
    shown('RSS MB', ({ server }) => server && server.rssBytes / 1024 ** 2),
    shown('µs/chunk', micros),
    shown('chunks/s', ({ chunksPerSecond }) => chunksPerSecond, 0),
    shown('first byte p99 ms', ({ firstByteMs }) => firstByteMs.p99),
    shown('silence ms', ({ largestSilenceMs }) => largestSilenceMs, 0),
    ...besidePeers(rows, micros),
  ]);
  return { rows, tables: [table] };
}
