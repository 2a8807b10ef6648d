import { readFileSync } from 'node:fs';
import { FloodOptionsError } from './errors.js';
import type { ResolvedFloodOptions } from './options.js';
import { maxPosts } from './publisher.js';

/** Descriptors that the process needs in addition to its connections. */
const reserve = 32;

/** @throws FloodOptionsError if the system has too few descriptors or ports for the connections */
export function checkLimits({ connections, sources, publish }: ResolvedFloodOptions): void {
  const files = openFileLimit();
  const additional = reserve + (publish === undefined ? 0 : maxPosts);
  const needed = connections + additional;
  if (needed > files) {
    throw new FloodOptionsError(
      `${connections} connections need ${needed} open files, and the limit is ${files}: raise it (ulimit -n ${needed}), or open ` +
        `${Math.max(0, files - additional)} connections or fewer`,
      'connections',
    );
  }
  const ports = localPorts();
  const addresses = Math.max(1, sources.length);
  if (connections > ports * addresses) {
    throw new FloodOptionsError(
      `${connections} connections need more than the ${ports} ports of ${addresses === 1 ? 'one address' : `${addresses} addresses`}: ` +
        `connect from ${Math.ceil(connections / ports)} addresses (--sources ${Math.ceil(connections / ports)})`,
      'sources',
    );
  }
}

function openFileLimit(): number {
  const { userLimits } = process.report.getReport() as { userLimits?: { open_files?: { soft: number | string } } };
  const soft = userLimits?.open_files?.soft;
  return typeof soft === 'number' ? soft : Number.POSITIVE_INFINITY;
}

/** How many ports the system assigns to clients (Linux: `ip_local_port_range`). */
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
