import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { root, run, serve } from './child.mjs';
import { median } from './median.mjs';
import { environment } from './servers.mjs';

/** Connections opened a second. */
const rate = 1000;

/**
 * Runs the same flood against each server, in rounds: each server once, then each of them once more. What the machine does beside
 * this then falls on all of them alike.
 *
 * @param options.servers those of servers.mjs that are meant
 * @param options.env what a server's environment has beside its own
 * @param options.flags what flood is told beside the server's address and process
 * @param options.measured takes from a report what is measured
 * @param options.told a run's measures in words
 * @param say tells how far it has come
 * @returns a row for each server: the medians of what is measured, and its runs, each with its faults
 */
export async function contest({ servers, period, env, rounds, flags, measured, told }, say) {
  const directory = mkdtempSync(join(tmpdir(), 'nestjs-feed-bench-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const contestants = [];
  for (const { name, role, prepare } of servers) {
    const { missing, ...start } = await prepare(directory);
    if (missing) say(`${name}: left out, ${missing}`);
    else
      contestants.push({
        name,
        role,
        command: start.command,
        args: start.args,
        env: environment(period, { ...start.env, ...env }),
        runs: [],
      });
  }
  const file = join(directory, 'flood.json');
  for (let round = 1; round <= rounds; round += 1) {
    for (const { name, runs, ...start } of contestants) {
      const { report, faults } = await flood(start, { rate, ...flags, json: file });
      const result = { ...(report && measured(report)), faults };
      runs.push(result);
      say(`round ${round}: ${name}: ${faults.length > 0 ? `FAILED: ${faults.join('; ')}` : told(result)}`);
    }
  }
  return contestants.map(({ name, role, runs }) => {
    const measures = new Set(runs.flatMap(({ faults, ...measures }) => Object.keys(measures)));
    const medians = [...measures].map((measure) => [measure, median(runs.map((run) => run[measure]))]);
    return { name, role, ok: runs.every(({ faults }) => faults.length === 0), ...Object.fromEntries(medians), runs };
  });
}

/** What each server costs beside the floor and beside Go, where those ran. */
export function compared(rows, measure) {
  const cost = (role) => rows.find((row) => row.role === role)?.[measure];
  return rows.map((row) => ({
    ...row,
    timesFloor: row[measure] / cost('floor') || undefined,
    timesGo: row[measure] / cost('go') || undefined,
  }));
}

/** One server's life: start, settle, flood, end. */
async function flood({ command, args, env }, flags) {
  let server;
  try {
    server = await serve(command, args, env);
  } catch (error) {
    return { faults: [`does not start: ${error.message}`] };
  }
  try {
    await sleep(1000);
    const options = Object.entries({ ...flags, pid: server.pid }).flatMap(([name, value]) => [`--${name}`, String(value)]);
    rmSync(flags.json, { force: true });
    const { code, why } = await run(process.execPath, [join(root, 'dist/flood/cli.js'), 'flood', `${server.url}/test/`, ...options]);
    if (code !== 0 && code !== 1) return { faults: [`flood: ${why}`] };
    const report = JSON.parse(readFileSync(flags.json, 'utf8'));
    return { report, faults: faultsOf(report) };
  } finally {
    await server.stop();
  }
}

/** What flood does not call ok, in words; a connection that never got a chunk is no success here either. */
function faultsOf(report) {
  const { publish = { reasons: {} } } = report;
  const named = (counts, names, what = '') => names.filter((name) => counts[name] > 0).map((name) => `${counts[name]} ${what}${name}`);
  const faults = [
    ...named(report, ['failed', 'endedEarly', 'missing', 'repeated', 'outOfOrder', 'misdelivered', 'unchecked']),
    ...named(publish, ['failed', 'unsent', 'lost', 'repeated', 'outOfOrder', 'misdelivered'], 'messages '),
  ];
  if (!report.ok && faults.length === 0) faults.push('ended early');
  if (!report.server) faults.push('the server ended during the flood');
  const reasons = [...Object.entries(report.reasons), ...Object.entries(publish.reasons)];
  return [...faults, ...reasons.map(([reason, count]) => `${count} × ${reason}`)];
}
