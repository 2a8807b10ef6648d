import { type Check, check, decimals, inMegabytes, median, none, percentile, sum } from '../lib/figures.js';
import type { ClientCounts } from './clients.js';
import type { Cpu, Memory } from './scale-system.js';
import { type Table, tableOf } from './table.js';

/** What became of connections that were opened at a rate. */
export interface Opening {
  name: string;
  ok: boolean;
  faults: string[];
  wanted: number;
  counts: ClientCounts;
  seconds: number;
  firstBytes: number[];
  cpu: Cpu;
  load: number;
  /** The descriptors of the process of the server that has fewest, and most. */
  descriptors: readonly [fewest: number, most: number];
}

/** A message to all connections. */
export interface Broadcast {
  wanted: number;
  got: number;
  repeated: number;
  lastMs: number;
  cpu: Cpu;
}

export interface BroadcastRow {
  name: string;
  ok: boolean;
  broadcasts: Broadcast[];
}

export const ofAll = ({ broadcasts }: BroadcastRow, read: (broadcast: Broadcast) => number) => median(broadcasts.map(read)) ?? Number.NaN;
/** CPU time of the servers and the broker, a delivery, in microseconds. */
export const microsOf = (row: BroadcastRow): number => ofAll(row, ({ cpu, got }) => ((cpu.server + cpu.broker) * 1000) / got);
export const faultsOf = ({ broadcasts }: BroadcastRow): number =>
  sum(broadcasts.map(({ wanted, got, repeated }) => Math.abs(wanted - got) + repeated));

const firstByte = (values: readonly number[], share: number) => decimals(percentile(values, share), 1);

export function openingTable(rate: number, rows: readonly Opening[]): Table {
  const each = (read: (cpu: Cpu) => number) => (row: Opening) => decimals(read(row.cpu) / row.counts.asked, 3);
  return tableOf(`opening, ${decimals(rate)} a second`, rows, [
    ['server', ({ name }) => name],
    ['asked', ({ counts }) => decimals(counts.asked)],
    ['open', ({ counts }) => decimals(counts.open)],
    ['refused', ({ counts }) => decimals(counts.refused)],
    ['dropped', ({ counts }) => decimals(counts.dropped)],
    ['no answer', ({ counts }) => decimals(counts.waiting)],
    ['away', ({ counts }) => decimals(counts.away)],
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

export function broadcastTable(rows: readonly BroadcastRow[]): Table {
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

export function memoryTable(heading: string, connections: number, before: Memory, held: Memory): Table {
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

/** @param isRetried whether clients come back, so that those that were dropped may be open all the same */
export function openingChecks(what: string, { wanted, counts }: Opening, isRetried = false): Check[] {
  return [
    check(`${what}: open`, decimals(counts.open), decimals(wanted), counts.open === wanted),
    none(`${what}: dropped`, counts.ended + (isRetried ? 0 : counts.dropped)),
    none(`${what}: without an answer`, counts.waiting),
  ];
}
