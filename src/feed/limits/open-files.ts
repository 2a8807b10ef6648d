interface ResourceReport {
  userLimits?: { open_files?: { soft: number | 'unlimited' } };
}

/** What feeds leave to everything else of so many descriptors: a twentieth, and 64 at least. */
export function reserveOf(limit: number): number {
  return Math.max(64, limit / 20);
}

/** How many connections, on which nobody has asked for anything yet, there may be even where others have taken all descriptors. */
const leastUnasked = 16;

/**
 * How many connections there may be on which nobody has asked for anything yet: half of the reserve is theirs, and what feeds do not need yet.
 *
 * @param open the feeds' connections
 */
export function roomForIdle(open: number): number {
  const limit = openFileLimit();
  if (limit === Number.POSITIVE_INFINITY) return limit;
  return Math.max(leastUnasked, limit - reserveOf(limit) / 2 - open);
}

/** How many files and sockets this process may have open, or Infinity where the system does not say. */
export function openFileLimit(): number {
  known ??= readLimit();
  return known;
}

let known: number | undefined;

function readLimit(): number {
  const report: NodeJS.ProcessReport & { excludeNetwork?: boolean } = process.report;
  const { excludeNetwork } = report;
  // The names of the peers of sockets that are open already would be looked up, while everything waits.
  report.excludeNetwork = true;
  const { userLimits } = report.getReport() as ResourceReport;
  report.excludeNetwork = excludeNetwork;
  const soft = userLimits?.open_files?.soft;
  return typeof soft === 'number' ? soft : Number.POSITIVE_INFINITY;
}
