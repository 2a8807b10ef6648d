import { readdirSync, readFileSync } from 'node:fs';

/** The memory and CPU time of a process. */
export interface ProcessSample {
  rssBytes: number;
  cpuSeconds: number;
  /** CPU time of each live kernel thread in seconds, by its id and name: `"4242 node"`. The main thread has the id of the process. */
  threads: Record<string, number>;
}

/** Clock ticks per second in `/proc/<pid>/stat`: a constant of Linux's user interface (`USER_HZ`). */
const ticks = 100;

/**
 * Reads a process's resident memory and CPU time from `/proc` (proc_pid_stat(5)).
 *
 * @returns undefined if there is no such process, or no `/proc`
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

/** User and system time in seconds, from the `stat` file of a process or a thread. */
function cpuSecondsOf(file: string): number {
  const stat = readFileSync(file, 'latin1');
  // The name in the second field may contain any characters: fields are counted from its closing bracket, after which comes the third.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticks;
}
