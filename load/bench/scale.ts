import { once } from 'node:events';
import { request } from 'node:http';
import { loadavg } from 'node:os';
import { getSystemErrorName } from 'node:util';
import { check, decimals, none } from '../lib/figures.js';
import { availableBytes } from '../lib/memory.js';
import { descriptors } from '../lib/server.js';
import { key } from '../lib/service.js';
import { sleep } from '../lib/waits.js';
import { type ClientCounts, Clients } from './clients.js';
import { scratch } from './flood.js';
import { gigabytes, machineLacks, roomOfWorker } from './machine-needs.js';
import { common, cpuOf, inAll, type Memory, memoryOf, type System, since, startFloor, startService } from './scale-system.js';
import {
  type Broadcast,
  type BroadcastRow,
  broadcastTable,
  faultsOf,
  memoryTable,
  microsOf,
  type Opening,
  ofAll,
  openingChecks,
  openingTable,
} from './scale-tables.js';
import { checksOf, say, type Table, tableOf } from './table.js';

export interface ScaleOptions {
  connections: number;
  /** Connections opened a second. */
  rate: number;
  /** Default: as many as descriptors demand. */
  workers?: number | undefined;
  adapter: string;
  /** How long the connections are held. */
  seconds: number;
  broadcasts: number;
  /** When a client comes back that was refused, or closed without an answer, in milliseconds. 0: never. */
  retry: number;
  /** Memory that is left to others: beyond, no more connections are opened. */
  spareBytes: number;
}

type Wanted = Omit<ScaleOptions, 'workers'> & { workers: number; program: string };

/** How long what does not come is waited for, in milliseconds. */
const patienceMs = 60_000;
/** How long the service takes until it does nothing by itself, and until the garbage of a ramp is collected, in milliseconds. */
const [startedMs, settledMs] = [3000, 10_000];
/** Milliseconds between two chunks of a connection. */
const periodMs = 1000;
/** Why a client was closed without an answer, or which other one it got: one of each. */
const reasonOf = ({ errno, status }: ClientCounts): string =>
  [errno > 0 && getSystemErrorName(-errno), ![0, 200, 503].includes(status) && `status ${status}`].filter(Boolean).join(', ');

/** Opens the connections, until each is answered, memory runs short, or an answer does not come. */
async function open(system: System, clients: Clients, { connections, spareBytes, retry }: Wanted): Promise<Opening> {
  const [begunAt, before] = [performance.now(), cpuOf(system, clients)];
  let [counts, isShort, movedAt, saidAt] = [await clients.report(), false, begunAt, begunAt];
  while (counts.waiting + counts.away > 0 || counts.asked < connections) {
    await sleep(250);
    if (!isShort && availableBytes() < spareBytes) {
      isShort = true;
      await clients.stopOpening();
      say(`${system.name}: memory runs short: no more connections are opened`);
    }
    const { asked, open } = counts;
    counts = await clients.report();
    const now = performance.now();
    if (now - saidAt >= 10_000) {
      saidAt = now;
      const { waiting, refused, dropped } = counts;
      say(
        `${system.name}: ${counts.open} open, ${waiting} wait, ${refused} refused, ${dropped} dropped; ${gigabytes(availableBytes())} available, load ${decimals(loadavg()[0], 1)}`,
      );
    }
    // One that comes back has as long again.
    if (counts.asked > asked || (retry > 0 && counts.open > open)) movedAt = now;
    if (isShort && counts.waiting + counts.away === 0) break;
    if (now - movedAt > patienceMs) break;
  }
  counts = await clients.giveUp();
  const files = system.serving.map(descriptors);
  return {
    name: system.name,
    ok: true,
    faults: [
      ...(counts.dropped > 0 ? [`dropped: ${reasonOf(counts)}`] : []),
      ...(counts.ended > 0 ? [`ended, as the service says: ${await system.ends()}`] : []),
    ],
    wanted: connections,
    counts,
    seconds: (performance.now() - begunAt) / 1000,
    firstBytes: await clients.firstBytes(),
    cpu: since(before, cpuOf(system, clients)),
    load: loadavg()[0],
    descriptors: [Math.min(...files), Math.max(...files)],
  };
}

/** Holds the connections, and looks at what memory is left. */
async function hold(seconds: number, { spareBytes }: Wanted): Promise<void> {
  const endsAt = performance.now() + seconds * 1000;
  while (performance.now() < endsAt) {
    if (availableBytes() < spareBytes / 2) throw new Error(`only ${gigabytes(availableBytes())} of memory are available: given up`);
    await sleep(Math.max(1, Math.min(500, endsAt - performance.now())));
  }
}

/** Publishes, in one piece, as the floor asks for. */
async function publish({ hostname: host, port }: URL, text: string): Promise<void> {
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'text/plain', 'content-length': text.length };
  const outgoing = request({
    host,
    port,
    path: `/test/${common}`,
    method: 'POST',
    headers,
    agent: false,
    signal: AbortSignal.timeout(patienceMs),
  }).end(text);
  const [response] = await once(outgoing, 'response');
  response.resume();
  if (response.statusCode !== 201) throw new Error(`answered with status ${response.statusCode}`);
}

async function broadcast(system: System, clients: Clients, number: number): Promise<Broadcast> {
  const { open: wanted } = await clients.expect(number);
  const before = cpuOf(system, clients);
  const [begunAt, publishedAt] = [performance.now(), Number(process.hrtime.bigint()) / 1e6];
  const failed = ({ message }: Error) => say(`${system.name}: broadcast ${number}: ${message}`);
  await Promise.all(system.urls.map((url) => publish(url, `Broadcast ${number}`).catch(failed)));
  let counts = await clients.report();
  while (counts.got < wanted && performance.now() - begunAt < patienceMs) {
    await sleep(100);
    counts = await clients.report();
  }
  await sleep(500); // what is sent twice comes as well
  const { got, repeated, lastAtMs } = await clients.report();
  return { wanted, got, repeated, lastMs: lastAtMs - publishedAt, cpu: since(before, cpuOf(system, clients)) };
}

/** One run: a system, the clients that open their connections, and what is done with those. */
async function run<T>(
  start: Promise<System>,
  options: Wanted,
  use: (system: System, clients: Clients, opening: Opening, before: Memory) => Promise<T>,
): Promise<T> {
  const system = await start;
  let clients: Clients | undefined;
  try {
    await sleep(startedMs);
    const before = memoryOf(system);
    const { program, connections: count, rate, retry: retryMs } = options;
    clients = Clients.start(program, { count, rate, retryMs, urls: system.urls, path: system.path });
    return await use(system, clients, await open(system, clients, options), before);
  } finally {
    await clients?.end();
    await system.stop();
  }
}

async function broadcasts(system: System, clients: Clients, { broadcasts: count }: Wanted): Promise<BroadcastRow> {
  const row: BroadcastRow = { name: system.name, ok: true, broadcasts: [] };
  for (let number = 1; number <= count; number += 1) {
    row.broadcasts.push(await broadcast(system, clients, number));
    const last = row.broadcasts.at(-1) as Broadcast;
    say(`${system.name}: broadcast ${number}: ${last.got} of ${last.wanted}, the last one after ${decimals(last.lastMs)} ms`);
  }
  return row;
}

async function prepare(options: ScaleOptions): Promise<Wanted & { directory: string }> {
  const directory = scratch();
  const compiled = await Clients.compile(directory);
  if (typeof compiled === 'string') throw new Error(`the clients: ${compiled}`);
  const { connections, rate } = options;
  const workers = options.workers ?? Math.min(64, Math.ceil(connections / (0.9 * roomOfWorker())));
  const clients = Clients.processes(connections);
  say(`${decimals(connections)} connections, ${decimals(rate)} a second, on ${workers} workers, from ${clients} processes of clients`);
  for (const line of machineLacks({ connections, rate, workers, clients })) say(`- ${line}`);
  return { ...options, ...compiled, workers, directory };
}

/** Connections that are opened at a rate, get a broadcast, and, in a second run, a chunk a second each. */
export async function scale(given: ScaleOptions): Promise<Table[]> {
  const options = await prepare(given);
  const { rate, workers, adapter, seconds, connections, directory } = options;
  const quiet = await run(startService(0, workers, adapter), options, async (system, clients, opening) => {
    await sleep(settledMs);
    return { opening, broadcasts: await broadcasts(system, clients, options) };
  });
  const floorSystem = await startFloor(directory, Clients.processes(connections));
  const floor =
    typeof floorSystem === 'string'
      ? undefined
      : await run(Promise.resolve(floorSystem), options, async (system, clients, opening) => ({
          opening,
          broadcasts: await broadcasts(system, clients, options),
        }));
  if (typeof floorSystem === 'string') say(`C epoll: left out, ${floorSystem}`);
  const busy = await run(startService(periodMs, workers, adapter), options, async (system, clients, opening, before) => {
    await sleep(settledMs);
    await clients.watch(periodMs);
    const cpuBefore = cpuOf(system, clients);
    await hold(seconds, options);
    const counts = await clients.report();
    return { opening, counts, before, held: memoryOf(system, clients), cpu: since(cpuBefore, cpuOf(system, clients)) };
  });
  const { counts, cpu, before, held } = busy;
  const kilobytes = (held.service - before.service) / 1024 / counts.open;
  const last = ofAll(quiet.broadcasts, ({ lastMs }) => lastMs);
  const ratio = floor ? microsOf(quiet.broadcasts) / microsOf(floor.broadcasts) : Number.NaN;
  const name = (part: string) => ({ ok: true, name: `service, ${part}` });
  return [
    openingTable(rate, [
      { ...quiet.opening, ...name('without chunks') },
      { ...busy.opening, ...name(`a chunk every ${periodMs} ms`) },
      ...(floor ? [floor.opening] : []),
    ]),
    broadcastTable([quiet.broadcasts, ...(floor ? [floor.broadcasts] : [])]),
    tableOf(
      `a chunk every ${periodMs} ms, ${seconds} s`,
      [{ ...name('chunks'), ...counts }],
      [
        ['server', () => 'service'],
        ['connections', () => decimals(counts.open)],
        ['chunks/s', () => decimals(counts.chunks / seconds)],
        ['missing', () => decimals(counts.missing)],
        ['largest silence ms', () => decimals(counts.silenceMs)],
        ['CPU µs/chunk', () => decimals((cpu.server * 1000) / counts.chunks, 2)],
        ['clients', () => decimals((cpu.clients * 1000) / counts.chunks, 2)],
      ],
    ),
    memoryTable('a chunk a second', counts.open, before, held),
    checksOf(`${decimals(connections)} connections on ${workers} workers`, [
      ...openingChecks(`at ${decimals(rate)} a second`, quiet.opening),
      ...openingChecks(`at ${decimals(rate)} a second, a chunk a second`, busy.opening),
      none('broadcast: lost or repeated', faultsOf(quiet.broadcasts)),
      check('broadcast: the last one', `${decimals(last)} ms`, '≤ 1,500 ms', last <= 1500),
      check('broadcast: CPU a delivery ÷ C', decimals(ratio, 2), '≤ 1.3', ratio <= 1.3),
      none('a chunk a second: ended', counts.ended),
      none('a chunk a second: missing, misdelivered', counts.missing + counts.misdelivered),
      check('a chunk a second: largest silence', `${decimals(counts.silenceMs)} ms`, '≤ 2,000 ms', counts.silenceMs <= 2000),
      check('a chunk a second: memory of the service', `${decimals(kilobytes, 2)} KB each`, '≤ 3.5 KB', kilobytes <= 3.5),
    ]),
  ];
}

/** As many connections as the machine allows, which are held, and get a broadcast. */
export async function million(given: ScaleOptions): Promise<Table[]> {
  const options = await prepare(given);
  const { rate, workers, adapter, seconds, connections } = options;
  return run(startService(0, workers, adapter), options, async (system, clients, opening, before) => {
    await hold(seconds, options);
    const row = await broadcasts(system, clients, options);
    const counts = await clients.report();
    const held = memoryOf(system, clients);
    const all = inAll(before, held);
    const most = 20 * 1024 ** 3;
    return [
      openingTable(rate, [opening]),
      broadcastTable([row]),
      memoryTable(`after ${seconds} s`, counts.open, before, held),
      checksOf(`${decimals(connections)} connections on ${workers} workers`, [
        ...openingChecks(`at ${decimals(rate)} a second`, opening, options.retry > 0),
        check(`held for ${seconds} s`, decimals(counts.open), decimals(connections), counts.open === connections),
        none('broadcast: lost or repeated', faultsOf(row)),
        check('memory in all, clients and kernel included', gigabytes(all), `≤ ${gigabytes(most)}`, all <= most),
      ]),
    ];
  });
}
