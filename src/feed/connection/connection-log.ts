import { inspect } from 'node:util';
import type { EndReason } from '../stats/end-reason.js';
import type { ConnectionInfo } from './connection-list.js';

/** Whose ends are logged: no connection's, those that ended for a reason that an operator may look into, or all. */
export const connectionLogs = ['none', 'abnormal', 'all'] as const;

export type ConnectionLog = (typeof connectionLogs)[number];

const abnormal: ReadonlySet<EndReason> = new Set<EndReason>(['slow', 'stalled', 'error', 'disconnected', 'revoked']);

/** Gets the line of an end. */
export interface EndLogger {
  log(line: object): void;
  warn(line: object): void;
}

/**
 * A connection's end as one line of a log. Loggers that write JSON write its fields; others write it as `name=value` pairs.
 */
class EndLine {
  readonly event = 'connection ended';

  constructor(info: ConnectionInfo) {
    const { node: _node, id, reason, since, endedAt = since, progressAt: _progressAt, ...rest } = info;
    Object.assign(this, { connection: id, reason, durationMs: endedAt - since, ...rest });
  }

  [inspect.custom](): string {
    const { event, ...fields } = this;
    return `${event}: ${Object.entries(fields)
      .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
      .join(' ')}`;
  }
}

/** Logs the ends of connections. */
export function logEnd(which: ConnectionLog, info: ConnectionInfo, logger: EndLogger): void {
  const isAbnormal = info.reason !== undefined && abnormal.has(info.reason);
  if (which === 'none' || (which === 'abnormal' && !isAbnormal)) return;
  if (isAbnormal) logger.warn(new EndLine(info));
  else logger.log(new EndLine(info));
}
