import type { SocketBound } from '../transport/server-sockets.js';

interface ResourceReport {
  userLimits?: { open_files?: { soft: number | 'unlimited' } };
}

/** How many of so many descriptors are reserved for other work than feeds: a twentieth, and 64 at least. */
function reserveOf(limit: number): number {
  return Math.max(64, limit / 20);
}

/** How many connections of feeds the process may hold: all its descriptors but the reserve. */
export function roomForFeeds(): number {
  const limit = openFileLimit();
  return Math.max(1, Math.floor(limit - reserveOf(limit)));
}

/**
 * How many sockets a server may have: those of feeds, and a quarter of the reserve. Another quarter is for those that are being turned
 * away; the rest is for files, pipes and connections to other servers.
 */
export function roomForSockets(): SocketBound {
  const limit = openFileLimit();
  if (limit === Number.POSITIVE_INFINITY) return { total: limit, spare: 0, leaving: 0 };
  const eighth = Math.floor(reserveOf(limit) / 8);
  return { total: limit - 6 * eighth, spare: eighth, leaving: eighth };
}

/** How many files and sockets this process may have open; Infinity where the system does not say. */
function openFileLimit(): number {
  known ??= readLimit();
  return known;
}

let known: number | undefined;

function readLimit(): number {
  const report: NodeJS.ProcessReport & { excludeNetwork?: boolean } = process.report;
  const { excludeNetwork } = report;
  // Otherwise the report resolves the names of all peers, which blocks the process.
  report.excludeNetwork = true;
  const { userLimits } = report.getReport() as ResourceReport;
  report.excludeNetwork = excludeNetwork;
  const soft = userLimits?.open_files?.soft;
  return typeof soft === 'number' ? soft : Number.POSITIVE_INFINITY;
}
