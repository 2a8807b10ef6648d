import { type Format, failureType } from './format.js';

/** One JSON object a line: `{ id?, feed?, type?, time?, data }`. */
export const ndjson: Format = {
  name: 'ndjson',
  mediaType: 'application/x-ndjson',
  contentType: 'application/x-ndjson',
  failure: (json) => `{"type":"${failureType}","data":${json}}\n`,
  heartbeat: '\n',
  encode({ id, feed, type, text, isJson, time }) {
    const stored = time === undefined ? '' : `"time":${time},`;
    return `{${member('id', id)}${member('feed', feed)}${member('type', type)}${stored}"data":${isJson ? text : JSON.stringify(text)}}\n`;
  },
};

/**
 * The same for a client that asks for more than messages. It gets lines of their own: first of all `{ connection, position?, heartbeatMs, ended? }`, behind
 * a replay `{ position }`, and at the end `{ retry }` or `{ error }`.
 */
export const markedNdjson: Format = {
  ...ndjson,
  opening: ({ connection, position, heartbeatMs, ended }) =>
    `${JSON.stringify({ connection, position, heartbeatMs, ended: ended.length > 0 ? ended : undefined })}\n`,
  mark: (position, isStart) => (isStart ? undefined : `{"position":"${position}"}\n`), // it has begun with where it starts
  retry: (ms) => `{"retry":${ms}}\n`,
  failure: (json) => `{"error":${json}}\n`,
};

function member(name: string, value: string | undefined): string {
  return value === undefined ? '' : `"${name}":${JSON.stringify(value)},`;
}
