import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { root, run, serve } from './child.mjs';
import { median } from './median.mjs';
import { environment } from './servers.mjs';
import { decimals, table } from './table.mjs';

/** Connections opened a second. */
const rate = 1000;

/**
 * Runs the same flood against each server, in rounds: each server once, then each of them once more. What the machine does beside
 * this then falls on all of them alike.
 *
 * @param options.servers those of servers.mjs that are meant
 * @param say tells how far it has come
 */
export async function streams({ servers, connections, period, rounds, duration }, say) {
  const directory = mkdtempSync(join(tmpdir(), 'nestjs-feed-bench-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const contestants = [];
  for (const { name, role, prepare } of servers) {
    const { missing, ...start } = await prepare(directory);
    if (missing) say(`${name}: left out, ${missing}`);
    else contestants.push({ name, role, start, runs: [] });
  }
  for (let round = 1; round <= rounds; round += 1) {
    for (const { name, start, runs } of contestants) {
      const result = await flood(start, { connections, period, duration }, join(directory, 'flood.json'));
      runs.push(result);
      const cost = `${decimals(result.kilobytesPerConnection, 1)} KB a connection, ${decimals(result.microsPerChunk, 1)} µs a chunk`;
      say(`round ${round}: ${name}: ${result.faults.length > 0 ? `FAILED: ${result.faults.join('; ')}` : cost}`);
    }
  }
  return compare(contestants);
}

/** One server's life: start, settle, flood, end. */
async function flood({ command, args, env }, { connections, period, duration }, file) {
  let server;
  try {
    server = await serve(command, args, environment(period, env));
  } catch (error) {
    return { faults: [`does not start: ${error.message}`] };
  }
  try {
    await sleep(1000);
    const options = { connections, rate, duration, pid: server.pid, json: file };
    const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
    rmSync(file, { force: true });
    const { code, why } = await run(process.execPath, [join(root, 'dist/cli.js'), 'flood', `${server.url}/test/`, ...flags]);
    return code === 0 || code === 1 ? measured(JSON.parse(readFileSync(file, 'utf8'))) : { faults: [`flood: ${why}`] };
  } finally {
    await server.stop();
  }
}

function measured(report) {
  const { server } = report;
  return {
    kilobytesPerConnection: server ? server.bytesPerConnection / 1024 : undefined,
    rssMegabytes: server ? server.rssBytes / 1024 ** 2 : undefined,
    microsPerChunk: server?.cpuMicrosPerChunk ?? undefined,
    chunksPerSecond: report.chunksPerSecond,
    firstByteP99Ms: report.firstByteMs.p99,
    largestSilenceMs: report.largestSilenceMs,
    faults: faultsOf(report),
  };
}

/** What flood does not call ok, in words; a connection that never got a chunk is no success here either. */
function faultsOf(report) {
  const counts = ['failed', 'endedEarly', 'missing', 'repeated', 'outOfOrder', 'misdelivered', 'unchecked'];
  const faults = counts.filter((name) => report[name] > 0).map((name) => `${report[name]} ${name}`);
  if (!report.ok && faults.length === 0) faults.push('ended early');
  if (!report.server) faults.push('the server ended during the flood');
  return [...faults, ...Object.entries(report.reasons).map(([reason, count]) => `${count} × ${reason}`)];
}

const measures = ['kilobytesPerConnection', 'rssMegabytes', 'microsPerChunk', 'chunksPerSecond', 'firstByteP99Ms', 'largestSilenceMs'];

/** The medians over the rounds, and what each server costs beside the floor and beside Go, where those ran. */
function compare(contestants) {
  const rows = contestants.map(({ name, role, runs }) => ({
    name,
    role,
    ok: runs.every(({ faults }) => faults.length === 0),
    ...Object.fromEntries(measures.map((measure) => [measure, median(runs.map((run) => run[measure]))])),
    runs,
  }));
  const micros = (role) => rows.find((row) => row.role === role)?.microsPerChunk;
  for (const row of rows) {
    row.timesFloor = row.microsPerChunk / micros('floor') || undefined;
    row.timesGo = row.microsPerChunk / micros('go') || undefined;
  }
  return rows;
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
