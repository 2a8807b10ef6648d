import { readFileSync } from 'node:fs';
import { sum } from './figures.js';

/** What a field of a file in `/proc` says, in bytes: the file has kilobytes. */
function bytesIn(file: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(file, 'latin1'))?.[1]) * 1024;
}

/** What processes hold together, in bytes: what several of them share counts once (proportional set size). */
export const pssBytes = (pids: readonly number[]): number => sum(pids.map((pid) => bytesIn(`/proc/${pid}/smaps_rollup`, 'Pss')));

/** What new processes can have without swapping, in bytes. */
export const availableBytes = (): number => bytesIn('/proc/meminfo', 'MemAvailable');

/** What the kernel holds for all processes of the machine, in bytes. */
export interface KernelMemory {
  /** Its objects: sockets, open files and what belongs to them, among others. */
  slab: number;
  /** What waits in sockets of TCP to be sent or read. */
  buffers: number;
  available: number;
}

export function kernelMemory(): KernelMemory {
  const pages = Number(/^TCP: .* mem (\d+)/m.exec(readFileSync('/proc/net/sockstat', 'latin1'))?.[1]);
  return { slab: bytesIn('/proc/meminfo', 'Slab'), buffers: pages * 4096, available: availableBytes() };
}
