import { compared, contest } from './contest.mjs';
import { decimals, table } from './table.mjs';

/**
 * What an open response costs on each server.
 *
 * @param options.servers those of servers.mjs that are meant
 * @param say tells how far it has come
 */
export async function streams({ servers, connections, period, rounds, duration }, say) {
  const rows = await contest({ servers, period, rounds, flags: { connections, duration }, measured, told }, say);
  return compared(rows, 'microsPerChunk');
}

function measured({ server, chunksPerSecond, firstByteMs, largestSilenceMs }) {
  return {
    kilobytesPerConnection: server ? server.bytesPerConnection / 1024 : undefined,
    rssMegabytes: server ? server.rssBytes / 1024 ** 2 : undefined,
    microsPerChunk: server?.cpuMicrosPerChunk ?? undefined,
    chunksPerSecond,
    firstByteP99Ms: firstByteMs.p99,
    largestSilenceMs,
  };
}

function told({ kilobytesPerConnection, microsPerChunk }) {
  return `${decimals(kilobytesPerConnection, 1)} KB a connection, ${decimals(microsPerChunk, 1)} µs a chunk`;
}

export function streamsTable(rows, markdown) {
  const head = ['server', 'KB/conn', 'RSS MB', 'µs/chunk', 'chunks/s', 'first byte p99 ms', 'silence ms', '× C', '× Go'];
  const lines = rows.map((row) => [
    row.ok ? row.name : `${row.name} (FAILED)`,
    decimals(row.kilobytesPerConnection, row.kilobytesPerConnection < 1 ? 2 : 1),
    decimals(row.rssMegabytes, 1),
    decimals(row.microsPerChunk, 1),
    decimals(row.chunksPerSecond, 0),
    decimals(row.firstByteP99Ms, 1),
    decimals(row.largestSilenceMs, 0),
    decimals(row.timesFloor, 2),
    decimals(row.timesGo, 2),
  ]);
  return table(head, lines, markdown);
}
