import { once } from 'node:events';
import { request } from 'node:http';
import { loadavg } from 'node:os';
import { Engine } from '../../tools/engines.mjs';
import { type Check, check, decimals, inMegabytes, median, none, percentile, sum } from '../lib/figures.js';
import { availableBytes, type KernelMemory, kernelMemory, pssBytes } from '../lib/memory.js';
import { atEnd, cpuMs, descriptors, Server } from '../lib/server.js';
import { key, Service } from '../lib/service.js';
import { sleep } from '../lib/waits.js';
import { type ClientCounts, Clients } from './clients.js';
import { scratch } from './flood.js';
import { gigabytes, machineLacks, roomOfWorker } from './machine-needs.js';
import { servers } from './servers.js';
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
/** The one feed that all connections follow, each beside one of its own. */
const common = 'all';

/** What is measured: processes that serve, and the broker's server that they share. */
interface System {
  name: string;
  urls: URL[];
  pids: number[];
  /** Those of them that take connections. */
  serving: number[];
  broker?: Engine | undefined;
  path: readonly [before: string, after: string];
  stop(): Promise<unknown>;
}

async function startService(intervalMs: number, { workers, adapter }: Wanted): Promise<System> {
  const broker = workers > 1 ? await Engine.start('redis') : undefined;
  if (broker) atEnd(() => broker.stop());
  const service = await new Service({
    FEED_ADAPTER: adapter,
    FEED_INTERVAL_MS: `${intervalMs}`,
    // What is measured is what is asked for: nothing else is sent.
    FEED_HEARTBEAT_MS: '0',
    WORKERS: `${workers}`,
    FEED_BROKER: broker?.url ?? 'memory',
  }).listening();
  const serving = (await service.counts()).workers?.pids ?? [service.pid];
  const pids = [...new Set([service.pid, ...serving])];
  const stop = async () => {
    service.hangUp();
    await service.stop();
    await broker?.stop();
  };
  return { name: 'service', urls: [service.url], pids, serving, path: ['/test?id=', `&id=${common}`], stop, broker };
}

/** The floor: as many of them as descriptors demand, on a port each. */
async function startFloor(directory: string, count: number): Promise<System | string> {
  const floor = servers.find(({ role }) => role === 'floor');
  const start = floor ? await floor.prepare(directory) : 'there is none';
  if (typeof start === 'string') return start;
  const all = Array.from({ length: count }, () => new Server({ ...start, env: { ...start.env, FEED_INTERVAL_MS: '0' } }));
  await Promise.all(all.map((server) => server.listening()));
  const stop = () => Promise.all(all.map((server) => server.stop()));
  const pids = all.map(({ pid }) => pid);
  return { name: 'C epoll', urls: all.map(({ url }) => url), pids, serving: pids, path: ['/test/', ''], stop };
}

/** CPU time that processes have had so far, in milliseconds. */
const cpuOf = ({ pids, broker }: System, clients: Clients) => ({
  server: sum(pids.map(cpuMs)),
  broker: broker ? cpuMs(broker.pid) : 0,
  clients: clients.cpuMs,
});
type Cpu = ReturnType<typeof cpuOf>;
const since = (before: Cpu, after: Cpu): Cpu => ({
  server: after.server - before.server,
  broker: after.broker - before.broker,
  clients: after.clients - before.clients,
});

/** What processes and the kernel hold, in bytes. */
interface Memory {
  service: number;
  largest: number;
  broker: number;
  clients: number;
  kernel: KernelMemory;
}

const memoryOf = ({ pids, broker }: System, clients?: Clients): Memory => ({
  service: pssBytes(pids),
  largest: Math.max(...pids.map((pid) => pssBytes([pid]))),
  broker: broker ? pssBytes([broker.pid]) : 0,
  clients: clients ? pssBytes(clients.pids) : 0,
  kernel: kernelMemory(),
});

/** What became of connections that were opened at a rate. */
interface Opening {
  name: string;
  ok: boolean;
  wanted: number;
  counts: ClientCounts;
  seconds: number;
  firstBytes: number[];
  cpu: Cpu;
  load: number;
  /** The descriptors of the process of the server that has fewest, and most. */
  descriptors: readonly [fewest: number, most: number];
}

/** Opens the connections, until each is answered, memory runs short, or an answer does not come. */
async function open(system: System, clients: Clients, { connections, spareBytes }: Wanted): Promise<Opening> {
  const [begunAt, before] = [performance.now(), cpuOf(system, clients)];
  let [counts, isShort, openedAt, saidAt] = [await clients.report(), false, Number.POSITIVE_INFINITY, begunAt];
  while (counts.waiting > 0 || counts.asked < connections) {
    await sleep(250);
    if (!isShort && availableBytes() < spareBytes) {
      isShort = true;
      await clients.stopOpening();
      say(`${system.name}: memory runs short: no more connections are opened`);
    }
    const { asked } = counts;
    counts = await clients.report();
    const now = performance.now();
    if (now - saidAt >= 5000) {
      saidAt = now;
      const { waiting, refused, dropped } = counts;
      say(
        `${system.name}: ${counts.open} open, ${waiting} wait, ${refused} refused, ${dropped} dropped; ${gigabytes(availableBytes())} available, load ${decimals(loadavg()[0], 1)}`,
      );
    }
    if (counts.asked > asked) openedAt = now;
    if (isShort && counts.waiting === 0) break;
    if (now - Math.max(openedAt, begunAt) > patienceMs) break;
  }
  const files = system.serving.map(descriptors);
  return {
    name: system.name,
    ok: true,
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
  const outgoing = request({ host, port, path: `/test/${common}`, method: 'POST', headers, agent: false }).end(text);
  const [response] = await once(outgoing, 'response');
  response.resume();
  if (response.statusCode !== 201) throw new Error(`a broadcast was answered with status ${response.statusCode}`);
}

/** A message to all connections. */
interface Broadcast {
  wanted: number;
  got: number;
  repeated: number;
  lastMs: number;
  cpu: Cpu;
}

async function broadcast(system: System, clients: Clients, number: number): Promise<Broadcast> {
  const { open: wanted } = await clients.expect(number);
  const before = cpuOf(system, clients);
  const [begunAt, publishedAt] = [performance.now(), Number(process.hrtime.bigint()) / 1e6];
  await Promise.all(system.urls.map((url) => publish(url, `Broadcast ${number}`)));
  let counts = await clients.report();
  while (counts.got < wanted && performance.now() - begunAt < patienceMs) {
    await sleep(100);
    counts = await clients.report();
  }
  await sleep(500); // what is sent twice comes as well
  const { got, repeated, lastAtMs } = await clients.report();
  return { wanted, got, repeated, lastMs: lastAtMs - publishedAt, cpu: since(before, cpuOf(system, clients)) };
}

interface BroadcastRow {
  name: string;
  ok: boolean;
  broadcasts: Broadcast[];
}

const ofAll = ({ broadcasts }: BroadcastRow, read: (broadcast: Broadcast) => number) => median(broadcasts.map(read)) ?? Number.NaN;
/** CPU time of the servers and the broker, a delivery, in microseconds. */
const microsOf = (row: BroadcastRow): number => ofAll(row, ({ cpu, got }) => ((cpu.server + cpu.broker) * 1000) / got);
const faultsOf = ({ broadcasts }: BroadcastRow): number =>
  sum(broadcasts.map(({ wanted, got, repeated }) => Math.abs(wanted - got) + repeated));

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
    const { program, connections: count, rate } = options;
    clients = Clients.start(program, { count, rate, urls: system.urls, path: system.path });
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

const firstByte = (values: readonly number[], share: number) => decimals(percentile(values, share), 1);

function openingTable(rate: number, rows: readonly Opening[]): Table {
  const each = (read: (cpu: Cpu) => number) => (row: Opening) => decimals(read(row.cpu) / row.counts.asked, 3);
  return tableOf(`opening, ${decimals(rate)} a second`, rows, [
    ['server', ({ name }) => name],
    ['asked', ({ counts }) => decimals(counts.asked)],
    ['open', ({ counts }) => decimals(counts.open)],
    ['refused', ({ counts }) => decimals(counts.refused)],
    ['dropped', ({ counts }) => decimals(counts.dropped)],
    ['no answer', ({ counts }) => decimals(counts.waiting)],
    ['ended', ({ counts }) => decimals(counts.ended)],
    ['s', ({ seconds }) => decimals(seconds, 1)],
    ['first byte p50 ms', ({ firstBytes }) => firstByte(firstBytes, 0.5)],
    ['p99', ({ firstBytes }) => firstByte(firstBytes, 0.99)],
    ['max', ({ firstBytes }) => firstByte(firstBytes, 1)],
    ['CPU ms each', each(({ server }) => server)],
    ['broker', each(({ broker }) => broker)],
    ['clients', each(({ clients }) => clients)],
    ['descriptors a process', ({ descriptors: [fewest, most] }) => `${decimals(fewest)} to ${decimals(most)}`],
    ['load', ({ load }) => decimals(load, 1)],
  ]);
}

function broadcastTable(rows: readonly BroadcastRow[]): Table {
  const micros = (read: (cpu: Cpu) => number) => (row: BroadcastRow) =>
    decimals(
      ofAll(row, ({ cpu, got }) => (read(cpu) * 1000) / got),
      2,
    );
  return tableOf(`broadcasts to ${decimals(rows[0]?.broadcasts[0]?.wanted)} connections, medians of ${rows[0]?.broadcasts.length}`, rows, [
    ['server', ({ name }) => name],
    ['last one ms', (row) => decimals(ofAll(row, ({ lastMs }) => lastMs))],
    ['max', ({ broadcasts }) => decimals(Math.max(...broadcasts.map(({ lastMs }) => lastMs)))],
    ['lost, repeated', (row) => decimals(faultsOf(row))],
    ['CPU µs/delivery', micros(({ server }) => server)],
    ['broker', micros(({ broker }) => broker)],
    ['clients', micros(({ clients }) => clients)],
  ]);
}

function memoryTable(heading: string, connections: number, before: Memory, held: Memory): Table {
  const rows = [
    { name: 'service', before: before.service, held: held.service },
    { name: 'its largest process', before: before.largest, held: held.largest },
    { name: 'broker', before: before.broker, held: held.broker },
    { name: 'clients', before: before.clients, held: held.clients },
    { name: 'kernel: slab', before: before.kernel.slab, held: held.kernel.slab },
    { name: 'kernel: socket buffers', before: before.kernel.buffers, held: held.kernel.buffers },
    { name: 'the machine, available', before: before.kernel.available, held: held.kernel.available },
  ];
  return tableOf(
    `memory, ${heading}`,
    rows.map((row) => ({ ...row, ok: true })),
    [
      ['', ({ name }) => name],
      ['before MB', ({ before }) => inMegabytes(before)],
      ['held MB', ({ held }) => inMegabytes(held)],
      ['KB/conn', ({ name, before, held }) => (name.includes('largest') ? '' : decimals((held - before) / 1024 / connections, 2))],
    ],
  );
}

/** What all of it holds, clients and kernel included, in bytes. */
const inAll = (before: Memory, { service, broker, clients, kernel }: Memory): number =>
  service + broker + clients + kernel.slab - before.kernel.slab + kernel.buffers - before.kernel.buffers;

function openingChecks(what: string, { wanted, counts }: Opening): Check[] {
  return [
    check(`${what}: open`, decimals(counts.open), decimals(wanted), counts.open === wanted),
    none(`${what}: dropped`, counts.dropped + counts.ended),
    none(`${what}: without an answer`, counts.waiting),
  ];
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
  const { rate, workers, seconds, connections, directory } = options;
  const quiet = await run(startService(0, options), options, async (system, clients, opening) => {
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
  const busy = await run(startService(periodMs, options), options, async (system, clients, opening, before) => {
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
  const { rate, workers, seconds, connections } = options;
  return run(startService(0, options), options, async (system, clients, opening, before) => {
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
        ...openingChecks(`at ${decimals(rate)} a second`, opening),
        check(`held for ${seconds} s`, decimals(counts.open), decimals(connections), counts.open === connections),
        none('broadcast: lost or repeated', faultsOf(row)),
        check('memory in all, clients and kernel included', gigabytes(all), `≤ ${gigabytes(most)}`, all <= most),
      ]),
    ];
  });
}
