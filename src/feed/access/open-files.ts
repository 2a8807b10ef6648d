interface ResourceReport {
  userLimits?: { open_files?: { soft: number | 'unlimited' } };
}

/** How many files and sockets this process may have open, or Infinity where the system does not say. */
export function openFileLimit(): number {
  const { userLimits } = process.report.getReport() as ResourceReport;
  const soft = userLimits?.open_files?.soft;
  return typeof soft === 'number' ? soft : Number.POSITIVE_INFINITY;
}
