import { readFileSync } from 'node:fs';
import { decimals } from '../lib/figures.js';
import { availableBytes } from '../lib/memory.js';

/** How many descriptors a process may have; Infinity where there is no limit. */
export function openFiles(): number {
  const { userLimits } = process.report.getReport() as { userLimits?: { open_files?: { soft: number | string } } };
  const soft = userLimits?.open_files?.soft;
  return typeof soft === 'number' ? soft : Number.POSITIVE_INFINITY;
}

/** How many feeds a process of the service may have: it keeps a twentieth of its descriptors, and 64 at least. */
export const roomOfWorker = (): number => openFiles() - Math.max(64, openFiles() / 20);

/** What a setting of the kernel says; Infinity where the kernel has no such setting. */
function setting(name: string): number {
  try {
    return Number(readFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, 'latin1').trim());
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** What a connection takes of the machine, with both of its ends and all that the kernel has for them, and what a worker takes, in bytes. */
const [ofConnection, ofWorker] = [12 * 1024, 80 * 1024 ** 2];
/** As many connections as the service asks the kernel to let wait (`backlog`). */
const backlog = 16_384;

interface Wanted {
  connections: number;
  rate: number;
  workers: number;
  /** Processes of clients. */
  clients: number;
}

/** What this machine lacks for so many connections, a line each, and how to raise it. */
export function machineLacks({ connections, rate, workers, clients }: Wanted): string[] {
  const lines: string[] = [];
  const files = openFiles();
  const each = Math.ceil(connections / 0.95) + 64;
  if (files < each)
    lines.push(
      `descriptors: ${decimals(files)} a process, so that ${decimals(connections)} connections take ${Math.ceil(connections / roomOfWorker())} workers (there are ${workers}) ` +
        `and ${clients} processes of clients. One of each would do with ulimit -n ${each} (docker run --ulimit nofile=${each}, LimitNOFILE=${each} of systemd)`,
    );
  const all = 2 * connections + 1000 * (workers + clients);
  for (const [name, most] of [
    ['fs.file-max', all],
    ['net.netfilter.nf_conntrack_max', connections],
  ] as const)
    if (setting(name) < most)
      lines.push(`${name}: ${decimals(setting(name))}, and ${decimals(most)} are needed: sysctl -w ${name}=${most}`);
  const queue = setting('net.core.somaxconn');
  if (queue < backlog)
    lines.push(
      `somaxconn: ${decimals(queue)} connections may wait to be accepted, ${decimals(queue / rate, 1)} s at ${decimals(rate)} a second. One more asks again ` +
        `after 1 s, 3 s, 7 s, …: sysctl -w net.core.somaxconn=${backlog}`,
    );
  const need = connections * ofConnection + workers * ofWorker;
  if (availableBytes() < need)
    lines.push(
      `memory: ${gigabytes(availableBytes())} are available, and some ${gigabytes(need)} are needed with both ends of each connection: it stops opening before memory runs out`,
    );
  return lines;
}

export const gigabytes = (bytes: number): string => `${decimals(bytes / 1024 ** 3, 1)} GB`;
