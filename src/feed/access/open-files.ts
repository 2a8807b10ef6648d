interface ResourceReport {
  userLimits?: { open_files?: { soft: number | 'unlimited' } };
}

/** What feeds leave to everything else of so many descriptors: a twentieth, and 64 at least. */
export function reserveOf(limit: number): number {
  return Math.max(64, limit / 20);
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
