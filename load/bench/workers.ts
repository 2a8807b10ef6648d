import { cpus } from 'node:os';
import { Engine } from '../../tools/engines.mjs';
import { decimals, sum } from '../lib/figures.js';
import { atEnd, cpuSeconds, using } from '../lib/server.js';
import { Service } from '../lib/service.js';
import { sleep } from '../lib/waits.js';
import { SlowReaders } from './slow-readers.js';
import { say, type Table, tableOf } from './table.js';

/** An event loop that is later than this has too much to do, in milliseconds. */
const latestMs = 50;
/** The share of the chunks that must go out, or arrive, or a rate is too much. */
const [leastSent, leastArrived] = [0.95, 0.8];

interface WorkersOptions {
  workers: number[];
  adapter: string;
  connections: number;
  /** How long each rate is held. */
  seconds: number;
  /** Chunks a second that are tried in turn. */
  rates: number[];
}

/** One number of workers at one rate. */
async function measure(workers: number, rate: number, broker: string, { adapter, connections, seconds }: WorkersOptions) {
  const env = {
    FEED_ADAPTER: adapter,
    FEED_INTERVAL_MS: `${Math.round((connections * 1000) / rate)}`,
    WORKERS: `${workers}`,
    FEED_BROKER: broker,
  };
  return using(new Service(env), async (service) => {
    const readers = await SlowReaders.open(service.url, connections);
    try {
      await sleep(1000);
      const pids = (await service.counts()).workers?.pids ?? [service.pid];
      const cpu = () => sum(pids.map(cpuSeconds));
      const [from, before, clientBefore] = [performance.now(), cpu(), process.cpuUsage()];
      const { messages: chunksBefore } = await service.counts();
      const readBefore = await readers.lowest();
      // The delays are those of the last 10 to 20 seconds: of the time in which all connections were open.
      await sleep(seconds * 1000);
      const { eventLoopDelayMs, messages } = await service.counts();
      const elapsed = (performance.now() - from) / 1000;
      const used = (cpu() - before) / elapsed;
      const { user, system } = process.cpuUsage(clientBefore);
      const count = messages - chunksBefore;
      // What the service counts has also arrived, on each connection, or the row is worth nothing.
      const arrived = (((await readers.lowest()) - readBefore) * connections) / count;
      if (readers.lost > 0 || arrived < leastArrived)
        throw new Error(`${readers.lost} connections lost, ${decimals(arrived, 2)} of the chunks arrived`);
      const chunks = count / elapsed;
      const micros = (used * 1e6) / chunks;
      const { p99: delay } = eventLoopDelayMs;
      const isInTime = delay <= latestMs && chunks >= rate * leastSent;
      const clientMicros = (user + system) / count;
      return { name: `${workers}`, ok: true, isInTime, workers, rate, chunks, delay, cpu: used, micros, clientMicros };
    } finally {
      readers.close();
    }
  });
}

/** How many chunks a second workers serve before their event loops fall behind. */
export async function workers(options: WorkersOptions): Promise<Table[]> {
  const engine = await Engine.start('redis');
  atEnd(() => engine.stop());
  const rows: Awaited<ReturnType<typeof measure>>[] = [];
  for (const count of options.workers) {
    for (const rate of options.rates) {
      const row = await measure(count, rate, engine.url, options);
      rows.push(row);
      say(`${count} × ${rate}: ${decimals(row.chunks)} chunks/s, delay p99 ${decimals(row.delay, 1)} ms`);
      if (!row.isInTime) break;
    }
  }
  const best = new Map(rows.filter(({ isInTime }) => isInTime).map(({ workers, chunks }) => [workers, chunks]));
  const summary = [...best].map(([count, chunks]) => ({ name: `${count}`, ok: true, chunks, ratio: chunks / (best.get(1) ?? Number.NaN) }));
  return [
    tableOf('rates until the event loops are late', rows, [
      ['workers', ({ name }) => name],
      ['asked for', ({ rate }) => decimals(rate)],
      ['chunks/s', ({ chunks }) => decimals(chunks)],
      ['delay p99 ms', ({ delay }) => decimals(delay, 1)],
      ['workers’ CPUs', ({ cpu }) => decimals(cpu, 2)],
      ['µs/chunk', ({ micros }) => decimals(micros, 1)],
      ['client’s µs/chunk', ({ clientMicros }) => decimals(clientMicros, 1)],
    ]),
    tableOf(`the most on ${cpus().length} CPUs, shared with the client`, summary, [
      ['workers', ({ name }) => name],
      ['chunks/s', ({ chunks }) => decimals(chunks)],
      ['times one worker’s', ({ ratio }) => decimals(ratio, 2)],
    ]),
  ];
}
