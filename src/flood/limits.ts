import { readFileSync } from 'node:fs';
import { FloodOptionsError } from './errors.js';
import type { ResolvedFloodOptions } from './options.js';
import { maxPosts } from './publisher.js';

/** Descriptors that the process needs beside its connections. */
const reserve = 32;

/** @throws FloodOptionsError when the system has too few descriptors or ports for so many connections */
export function checkLimits({ connections, sources, publish }: ResolvedFloodOptions): void {
  const files = openFileLimit();
  const others = reserve + (publish === undefined ? 0 : maxPosts);
  const needed = connections + others;
  if (needed > files) {
    throw new FloodOptionsError(
      `${connections} connections need ${needed} open files, and this process may have ${files}: raise the limit ` +
        `(ulimit -n ${needed}) or ask for ${Math.max(0, files - others)} or fewer`,
      'connections',
    );
  }
  const ports = localPorts();
  const addresses = Math.max(1, sources.length);
  if (connections > ports * addresses) {
    throw new FloodOptionsError(
      `${connections} connections need more than the ${ports} ports of ${addresses === 1 ? 'one address' : `${addresses} addresses`}: ` +
        `connect from ${Math.ceil(connections / ports)} (--sources ${Math.ceil(connections / ports)})`,
      'sources',
    );
  }
}

function openFileLimit(): number {
  const { userLimits } = process.report.getReport() as { userLimits?: { open_files?: { soft: number | string } } };
  const soft = userLimits?.open_files?.soft;
  return typeof soft === 'number' ? soft : Number.POSITIVE_INFINITY;
}

/** How many ports the system gives out to clients (Linux: `ip_local_port_range`). */
function localPorts(): number {
  try {
    const [low, high] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'latin1').trim().split(/\s+/).map(Number) as [
      number,
      number,
    ];
    return high - low + 1;
  } catch {
    return 65_536 - 49_152; // the dynamic ports of RFC 6335 section 6
  }
}
