import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root, run, Server, type Start, using } from '../lib/server.js';
import { sleep } from '../lib/waits.js';

/** What is taken from the report of `nestjs-feed flood`; counts of what went wrong are beside. */
export interface Report extends Record<string, unknown> {
  ok: boolean;
  reasons: Record<string, number>;
  chunksPerSecond: number;
  largestSilenceMs: number;
  firstByteMs: { p99: number };
  server?: { rssBytes: number; bytesPerConnection: number; cpuMicrosPerChunk: number | null; cpuMicrosPerDelivery: number | null };
  publish?: Record<string, unknown> & {
    reasons: Record<string, number>;
    latencyMs: { p50: number; p99: number; max: number };
    lastMs: { p50: number; max: number };
    lost: number;
    repeated: number;
  };
}

/** A directory for files of this process alone. */
export function scratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'nestjs-feed-bench-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** What flood does not call ok, in words; a connection that never got a chunk is no success here either. */
function faultsOf(report: Report): string[] {
  const { publish = { reasons: {} } } = report;
  const named = (counts: Record<string, unknown>, names: string[], what = '') =>
    names.filter((name) => Number(counts[name]) > 0).map((name) => `${counts[name]} ${what}${name}`);
  const faults = [
    ...named(report, ['failed', 'endedEarly', 'missing', 'repeated', 'outOfOrder', 'misdelivered', 'unchecked']),
    ...named(publish, ['failed', 'unsent', 'lost', 'repeated', 'outOfOrder', 'misdelivered'], 'messages '),
  ];
  if (!report.ok && faults.length === 0) faults.push('ended early');
  if (!report.server) faults.push('the server ended during the flood');
  const reasons = [...Object.entries(report.reasons), ...Object.entries(publish.reasons)];
  return [...faults, ...reasons.map(([reason, count]) => `${count} × ${reason}`)];
}

/**
 * One server's life: start, settle, flood, end.
 *
 * @param flags what flood is told beside the server's address and process
 * @param file where flood may write its report
 */
export async function flood(
  start: Start,
  flags: Record<string, string | number>,
  file: string,
): Promise<{ report?: Report; faults: string[] }> {
  const use = async ({ url, pid }: Server) => {
    await sleep(1000);
    const options = Object.entries({ rate: 1000, ...flags, json: file, pid }).flatMap(([name, value]) => [`--${name}`, `${value}`]);
    rmSync(file, { force: true });
    const { code, why } = await run(process.execPath, [join(root, 'dist/flood/cli.js'), 'flood', `${url}test/`, ...options]);
    if (code !== 0 && code !== 1) throw new Error(`flood: ${why}`);
    const report: Report = JSON.parse(readFileSync(file, 'utf8'));
    return { report, faults: faultsOf(report) };
  };
  return using(new Server(start), use).catch(({ message }) => ({ faults: [message] }));
}
