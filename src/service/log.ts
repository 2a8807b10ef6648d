/** The format of the service's log: plain lines, or with `json` a JSON object a line, as Nest's logger writes them. */
export type LogFormat = 'text' | 'json';

/**
 * Writes a line where Nest's logger is not available: before the application exists, and in the primary, which does not load Nest.
 *
 * @param fields further fields of the JSON object; left out of plain lines
 */
export function log(format: LogFormat, level: 'log' | 'warn' | 'error', message: string, fields: object = {}): void {
  const line = format === 'text' ? message : JSON.stringify({ level, pid: process.pid, timestamp: Date.now(), message, ...fields });
  process[level === 'log' ? 'stdout' : 'stderr'].write(`${line}\n`);
}
