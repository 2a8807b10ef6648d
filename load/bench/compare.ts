import { join, resolve } from 'node:path';
import { Connection } from '../lib/connection.js';
import { cpuSeconds, root, using } from '../lib/server.js';
import { Service, startOf } from '../lib/service.js';
import { atRate, until } from '../lib/waits.js';
import { flood, scratch } from './flood.js';
import { pairedRuns } from './paired-runs.js';
import { route } from './routes.js';
import { services } from './servers.js';
import { runs, type Table } from './table.js';

interface CompareOptions {
  /** A checkout with its own `dist` and `node_modules`. */
  old: string;
  connections: number;
  period: number;
  duration: number;
  rounds: number;
  routeSeconds: number;
}

/** CPU time that the service spends on opening a connection, in milliseconds. Nothing is sent meanwhile. */
async function opening(adapter: string, folder: string, connections: number): Promise<number> {
  return using(new Service({ FEED_ADAPTER: adapter }, {}, folder), async ({ url, pid }) => {
    let answered = 0;
    const client = {
      head: (status: number) => {
        if (status === 200) answered += 1;
      },
      message: () => {},
      closed: () => {},
    };
    const all: Connection[] = [];
    const before = cpuSeconds(pid);
    await atRate(connections, 1000, (n) => all.push(new Connection(url, `/test/${n}`, client)));
    const areOpen = await until(() => answered === connections);
    const used = cpuSeconds(pid) - before;
    for (const connection of all) connection.leave('reset');
    if (!areOpen) throw new Error(`only ${answered} of ${connections} connections could be opened`);
    return (used * 1000) / connections;
  });
}

/** This build against that of another checkout. */
export function compare({ old, connections, period, duration, rounds, routeSeconds }: CompareOptions): Promise<Table[]> {
  const file = join(scratch(), 'flood.json');
  return pairedRuns({
    heading: `this build (new) against ${resolve(old)} (old): ${connections} connections, ${runs(rounds)}`,
    head: 'what',
    sides: ['old', 'new'],
    servers: services,
    measures: [
      { what: 'KB a connection', digits: 2 },
      { what: 'µs a chunk', digits: 2 },
      { what: 'ms CPU to open a connection', digits: 3 },
      { what: 'µs CPU for an ordinary route', digits: 1 },
    ],
    rounds,
    async run(adapter, side) {
      const folder = side === 'new' ? root : resolve(old);
      const start = startOf({ FEED_ADAPTER: adapter, FEED_INTERVAL_MS: `${period}` }, folder);
      const { report, faults } = await flood(start, { connections, duration }, file);
      const { bytesPerConnection = Number.NaN, cpuMicrosPerChunk } = report?.server ?? {};
      const { micros, faults: failed } = await route(adapter, true, routeSeconds, folder);
      const opened = await opening(adapter, folder, connections);
      const figures = [bytesPerConnection / 1024, cpuMicrosPerChunk ?? Number.NaN, opened, micros];
      return { figures, faults: [...faults, ...failed] };
    },
  });
}
