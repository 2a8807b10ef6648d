import autocannon from 'autocannon';
import { cpuSeconds, root, Server, using } from '../lib/server.js';
import { pairedRuns } from './paired-runs.js';
import { peer } from './servers.js';
import { runs, type Table } from './table.js';

/** Keep-alive connections, each with one request on its way at a time. */
const connections = 32;
/** Seconds of load before it counts, so that V8 has compiled what it is going to. */
const warmUp = 2;

/**
 * Asks for an ordinary route for some seconds.
 *
 * @param folder the checkout whose packages the application has
 */
export async function route(adapter: string, hasFeeds: boolean, seconds: number, folder = root) {
  const server = new Server(peer('nest-route', adapter, folder, ...(hasFeeds ? ['feeds'] : [])));
  return using(server, async ({ url: { href }, pid }) => {
    const url = `${href}hello`;
    await autocannon({ url, connections, duration: warmUp });
    const before = cpuSeconds(pid);
    const { requests, duration, errors, non2xx } = await autocannon({ url, connections, duration: seconds });
    const micros = ((cpuSeconds(pid) - before) * 1e6) / requests.total;
    const faults = errors + non2xx > 0 ? [`${errors + non2xx} requests failed`] : [];
    return { perSecond: requests.total / duration, micros, faults };
  });
}

/** What FeedModule takes from an ordinary route of the application that imports it. */
export function routes(rounds: number, seconds: number): Promise<Table[]> {
  return pairedRuns({
    heading: `an ordinary route with FeedModule and without, ${runs(rounds)}`,
    head: 'GET /hello',
    sides: ['without', 'with'],
    servers: ['express', 'fastify'].map((adapter) => ({ name: `Nest on ${adapter}`, adapter })),
    measures: [
      { what: 'requests/s', digits: 0 },
      { what: 'µs CPU', digits: 1 },
    ],
    rounds,
    async run(adapter, side) {
      const { perSecond, micros, faults } = await route(adapter, side === 'with', seconds);
      return { figures: [perSecond, micros], faults };
    },
  });
}
