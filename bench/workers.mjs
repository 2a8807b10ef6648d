// How many chunks a second one worker and two serve before their event loops fall behind: `npm run bench:workers`. See README.md.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Engine } from '../tools/engines.mjs';
import { serve } from './child.mjs';
import { SeldomReaders } from './seldom.mjs';
import { environment, servers } from './servers.mjs';
import { decimals, table } from './table.mjs';

const usage = `Usage: npm run bench:workers -- [options]

      --workers A,B      numbers of workers                     (1,2)
      --adapter NAME     express or fastify                     (express)
      --connections N    connections                            (4000)
      --seconds S        how long each rate is held             (15)
      --rates A,B,…      chunks a second that are tried in turn (40000,50000,…,160000)
  -h, --help             show this
`;

/** An event loop that is later than this has too much to do, in milliseconds. */
const latestMs = 50;
/** Ticks of a process's CPU time in a second (Linux: sysconf(_SC_CLK_TCK)). */
const ticks = 100;

const { values } = parseArgs({
  options: {
    workers: { type: 'string', default: '1,2' },
    adapter: { type: 'string', default: 'express' },
    connections: { type: 'string', default: '4000' },
    seconds: { type: 'string', default: '15' },
    rates: { type: 'string', default: Array.from({ length: 13 }, (_, n) => (n + 4) * 10_000).join(',') },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (values.help) {
  process.stdout.write(usage);
  process.exit(0);
}
const [connections, seconds] = [Number(values.connections), Number(values.seconds)];
const numbers = (text) => text.split(',').map(Number);

/** CPU seconds that processes have used so far. */
async function cpuSeconds(pids) {
  const used = await Promise.all(
    pids.map(async (pid) => {
      const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
      const [user, system] = stat
        .slice(stat.lastIndexOf(')') + 2)
        .split(' ')
        .slice(11, 13);
      return (Number(user) + Number(system)) / ticks;
    }),
  );
  return used.reduce((sum, each) => sum + each, 0);
}

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** One number of workers at one rate. */
async function measure(workers, rate, engine, folder) {
  const { command, args, env } = await servers
    .find(({ name }) => name === `service ${values.adapter === 'fastify' ? 'Fastify' : 'Express'}`)
    .prepare(folder);
  const own = { ...env, WORKERS: `${workers}`, FEED_BROKER: engine.url, FEED_PUBLISH_KEY: 'bench' };
  const server = await serve(command, args, environment(Math.round((connections * 1000) / rate), own));
  let readers;
  try {
    readers = await SeldomReaders.open(server.url, connections);
    await wait(1000);
    const counts = async () => (await fetch(`${server.url}/health/connections`)).json();
    const pids = (await counts()).workers?.pids ?? [server.pid];
    const [from, before, clientBefore] = [performance.now(), await cpuSeconds(pids), process.cpuUsage()];
    const { messages: chunksBefore } = await counts();
    const { 0: readBefore } = await readers.chunks();
    // The delays are those of the last 10 to 20 seconds: of the time in which all connections were open.
    await wait(seconds * 1000);
    const { eventLoopDelayMs, messages } = await counts();
    const elapsed = (performance.now() - from) / 1000;
    const cpu = ((await cpuSeconds(pids)) - before) / elapsed;
    const { user, system } = process.cpuUsage(clientBefore);
    const chunks = (messages - chunksBefore) / elapsed;
    // What the service counts has also arrived, on each connection, or the row is worth nothing.
    const { 0: read } = await readers.chunks();
    const arrived = ((read - readBefore) * connections) / (messages - chunksBefore);
    if (readers.lost > 0 || arrived < 0.8)
      throw new Error(`${readers.lost} connections lost, ${decimals(arrived, 2)} of the chunks arrived`);
    return {
      workers,
      rate,
      chunks,
      delay: eventLoopDelayMs.p99,
      cpu,
      micros: (cpu * 1e6) / chunks,
      clientMicros: (user + system) / (messages - chunksBefore),
    };
  } finally {
    readers?.close();
    await server.stop();
  }
}

const engine = await Engine.start('redis');
const folder = await mkdtemp(join(tmpdir(), 'nestjs-feed-workers-'));
const rows = [];
const best = new Map();
try {
  for (const workers of numbers(values.workers)) {
    for (const rate of numbers(values.rates)) {
      const row = await measure(workers, rate, engine, folder);
      rows.push(row);
      process.stderr.write(`${workers} × ${rate}: ${decimals(row.chunks, 0)} chunks/s, delay p99 ${decimals(row.delay, 1)} ms\n`);
      if (row.delay > latestMs || row.chunks < rate * 0.95) break;
      best.set(workers, row.chunks);
    }
  }
} finally {
  await engine.stop();
  await rm(folder, { recursive: true, force: true });
}
const head = ['workers', 'asked for', 'chunks/s', 'delay p99 ms', 'workers’ CPUs', 'µs/chunk', 'client’s µs/chunk'];
const lines = rows.map(({ workers, rate, chunks, delay, cpu, micros, clientMicros }) => [
  `${workers}`,
  decimals(rate, 0),
  decimals(chunks, 0),
  decimals(delay, 1),
  decimals(cpu, 2),
  decimals(micros, 1),
  decimals(clientMicros, 1),
]);
process.stdout.write(`${table(head, lines)}\n`);
for (const [workers, chunks] of best) {
  const ratio = decimals(chunks / (best.get(1) ?? Number.NaN), 2);
  process.stdout.write(
    `${workers} on ${cpus().length} CPUs, shared with the client: ${decimals(chunks, 0)} chunks/s, ${ratio} times one worker's\n`,
  );
}
