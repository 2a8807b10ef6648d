/** How the service writes what it has to say: lines for people, or as Nest's logger does with `json`, an object a line. */
export type LogFormat = 'text' | 'json';

/**
 * Says something where there is no logger: before the application has one, and in the process that only keeps workers, which does not load Nest.
 *
 * @param more what else a program may want to know of it; only in JSON
 */
export function tell(format: LogFormat, level: 'log' | 'warn' | 'error', message: string, more: object = {}): void {
  const line = format === 'text' ? message : JSON.stringify({ level, pid: process.pid, timestamp: Date.now(), message, ...more });
  process[level === 'log' ? 'stdout' : 'stderr'].write(`${line}\n`);
}
