import { fileURLToPath } from 'node:url';
import autocannon from 'autocannon';
import { sampleProcess } from '../dist/flood/process-sample.js';
import { serve } from './child.mjs';
import { median } from './median.mjs';
import { environment } from './servers.mjs';
import { decimals, table } from './table.mjs';

/** Keep-alive connections, each with one request on its way at a time. */
const connections = 32;
/** Seconds of load before it counts, so that V8 has compiled what it is going to. */
const warmUp = 2;

const route = fileURLToPath(new URL('peers/nest-route.mjs', import.meta.url));

/**
 * Measures what FeedModule takes from an ordinary route of the application that imports it. With and without it take turns, and so
 * does who goes first, since the second of a pair finds a warmer machine.
 */
export async function routes({ rounds, seconds }, say) {
  const rows = ['express', 'fastify'].map((adapter) => ({ adapter, without: [], with: [], faults: 0 }));
  for (let round = 1; round <= rounds; round += 1) {
    for (const row of rows) {
      for (const side of round % 2 ? ['without', 'with'] : ['with', 'without']) {
        const { faults, ...run } = await load(row.adapter, side === 'with', seconds);
        row[side].push(run);
        row.faults += faults;
        const what = `${decimals(run.perSecond, 0)} requests a second, ${decimals(run.micros, 1)} µs each`;
        say(`round ${round}: GET /hello on ${row.adapter} ${side} FeedModule: ${what}`);
      }
    }
  }
  return rows.map((row) => ({ ...row, ok: row.faults === 0, perSecond: compare(row, 'perSecond'), micros: compare(row, 'micros') }));
}

/** Pairs ran one after the other, so their ratios know less of what else the machine did than the medians do. */
function compare(row, measure) {
  const values = (side) => row[side].map((run) => run[measure]);
  const without = values('without');
  const ratios = values('with').map((value, n) => value / without[n]);
  return { without: median(without), with: median(values('with')), ratio: median(ratios), ratios };
}

async function load(adapter, feeds, seconds) {
  const server = await serve(process.execPath, [route, adapter, ...(feeds ? ['feeds'] : [])], environment(1000));
  try {
    const url = `${server.url}/hello`;
    await autocannon({ url, connections, duration: warmUp });
    const cpuBefore = sampleProcess(server.pid)?.cpuSeconds;
    const { requests, duration, errors, non2xx } = await autocannon({ url, connections, duration: seconds });
    const cpuSeconds = sampleProcess(server.pid)?.cpuSeconds - cpuBefore;
    return { perSecond: requests.total / duration, micros: (cpuSeconds * 1e6) / requests.total, faults: errors + non2xx };
  } finally {
    await server.stop();
  }
}

export function routesTable(rows, markdown) {
  const head = ['GET /hello', 'requests/s without', 'with', 'ratio', 'lowest', 'highest', 'µs CPU without', 'with', 'ratio'];
  const lines = rows.map(({ adapter, ok, perSecond, micros }) => [
    `Nest on ${adapter}${ok ? '' : ' (FAILED)'}`,
    decimals(perSecond.without, 0),
    decimals(perSecond.with, 0),
    decimals(perSecond.ratio, 3),
    decimals(Math.min(...perSecond.ratios), 3),
    decimals(Math.max(...perSecond.ratios), 3),
    decimals(micros.without, 1),
    decimals(micros.with, 1),
    decimals(micros.ratio, 3),
  ]);
  return table(head, lines, markdown);
}
