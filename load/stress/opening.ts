import { Engine } from '../../tools/engines.mjs';
import { peer } from '../bench/servers.js';
import { type Check, check, decimals, median } from '../lib/figures.js';
import { type Openings, openingMs } from '../lib/opening.js';
import { atEnd, environment, Server, using } from '../lib/server.js';
import { Service } from '../lib/service.js';
import { sleep } from '../lib/waits.js';

interface OpeningOptions {
  adapter: 'express' | 'fastify';
  connections: number;
}

/** A figure is the median of so many starts. */
const rounds = 3;
/** How many connections are opened a second. */
const perSecond = 1000;
/** The time in which all come back that have lost theirs, in seconds. */
const stormSeconds = 5;
/** Before a process has served anything, it does other things for so long, in milliseconds. */
const settleMs = 1000;

/** The most CPU time that a connection may take of all processes of the service, in milliseconds. */
const mostAlone = { fastify: 0.28, express: 0.36 };
const [mostWithWorkers, mostResumed] = [0.45, 0.4];

/** CPU time of a connection, in milliseconds: of a server that is started anew for each round. */
async function costOf<S extends Server>(start: () => S, openingsOf: (server: S) => Openings | Promise<Openings>): Promise<number> {
  const found: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const ms = await using(start(), async (server) => {
      const openings = await openingsOf(server);
      const workers = server instanceof Service ? (await server.counts()).workers?.pids : undefined;
      if (server instanceof Service) server.hangUp();
      await sleep(settleMs);
      return openingMs(server.url, [server.pid, ...(workers ?? [])], openings);
    });
    found.push(ms);
  }
  return median(found) as number;
}

function bound(what: string, ms: number, most: number, more = ''): Check {
  return check(what, `${decimals(ms, 3)} ms${more}`, `≤ ${decimals(most, 2)} ms`, ms <= most);
}

/** What a connection costs that is opened: in one process, beside bare node:http, and in two workers on one Redis. */
export async function opening({ adapter, connections }: OpeningOptions): Promise<Check[]> {
  const openings = { connections, perSecond, requestOf: (n: number) => ({ target: `/test/${n}` }) };
  const env = { FEED_ADAPTER: adapter };
  // It sends nothing after its greeting.
  const silent = { ...peer('node-http'), env: environment({ FEED_INTERVAL_MS: '1000000' }) };
  const bare = await costOf(
    () => new Server(silent),
    () => openings,
  );
  const alone = await costOf(
    () => new Service(env),
    () => openings,
  );
  const engine = await Engine.start('redis');
  atEnd(() => engine.stop());
  const shared = await costOf(
    () => new Service({ ...env, FEED_BROKER: engine.url, WORKERS: '2' }),
    () => openings,
  );
  const beside = (ms: number) => `, ${decimals(ms / bare, 2)} × bare node:http`;
  return [
    bound(`opening: CPU of a connection, one process, ${adapter}`, alone, mostAlone[adapter], beside(alone)),
    bound(`opening: CPU of a connection, Redis and two workers, ${adapter}`, shared, mostWithWorkers, beside(shared)),
  ];
}

/** What a connection costs that resumes: all come back with their positions, and each has missed a message. */
export async function storm({ adapter, connections }: OpeningOptions): Promise<Check[]> {
  const engine = await Engine.start('redis');
  atEnd(() => engine.stop());
  const resumed = await costOf(
    () => new Service({ FEED_ADAPTER: adapter, FEED_BROKER: engine.url }),
    async (service) => {
      const ids = await service.fill(connections, 1, 100);
      await service.fill(connections, 1, 100);
      const requestOf = (n: number) => ({ target: `/test/${n}`, fields: `Accept: text/event-stream\r\nLast-Event-ID: ${ids[n]}\r\n` });
      return { connections, perSecond: connections / stormSeconds, requestOf, awaited: 'xx\n' };
    },
  );
  const what = `storm: CPU of one of ${decimals(connections)} that resume within ${stormSeconds} s, Redis, ${adapter}`;
  return [bound(what, resumed, mostResumed)];
}
