import { readdirSync, readFileSync } from 'node:fs';

/** What a process has cost so far. */
export interface ProcessSample {
  rssBytes: number;
  cpuSeconds: number;
  /** CPU time in seconds of each kernel thread that lives, by its id and name: `"4242 node"`. The main thread's id is the process's. */
  threads: Record<string, number>;
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
    const rss = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
    if (!rss) return undefined;
    return { rssBytes: Number(rss[1]) * 1024, cpuSeconds: cpuSecondsOf(`/proc/${pid}/stat`), threads: sampleThreads(pid) };
  } catch {
    return undefined;
  }
}

function sampleThreads(pid: number): Record<string, number> {
  const threads: Record<string, number> = {};
  for (const tid of readdirSync(`/proc/${pid}/task`)) {
    const folder = `/proc/${pid}/task/${tid}`;
    try {
      const name = readFileSync(`${folder}/comm`, 'utf8').replace(/\n$/, '');
      threads[`${tid} ${name}`] = cpuSecondsOf(`${folder}/stat`);
    } catch {
      // The thread ended after the folder was listed.
    }
  }
  return threads;
}

/** User and system time, in seconds, out of a `stat` file of a process or a thread. */
function cpuSecondsOf(file: string): number {
  const stat = readFileSync(file, 'latin1');
  // The name in the second field may hold anything, so count from its closing bracket: the third field comes first.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticks;
}
