import { readFileSync } from 'node:fs';

/** What a process has cost so far. */
export interface ProcessSample {
  rssBytes: number;
  cpuSeconds: number;
}

/** Clock ticks a second in `/proc/<pid>/stat`: a constant of Linux's user interface (`USER_HZ`). */
const ticks = 100;

/**
 * Reads a process's resident memory and CPU time from `/proc` (proc_pid_stat(5)).
 *
 * @returns undefined when there is no such process, or no `/proc`
 */
export function sampleProcess(pid: number): ProcessSample | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in the second field may hold anything, so count from its closing bracket: the third field comes first.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const rss = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
    if (!rss) return undefined;
    return { rssBytes: Number(rss[1]) * 1024, cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticks };
  } catch {
    return undefined;
  }
}
