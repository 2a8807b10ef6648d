import { failureType, type TextMessage } from '../message/message.js';
import type { Format } from './format.js';

/** One JSON object a line: `{ id?, feed?, type?, time?, data }`. */
export const ndjson: Format = {
  name: 'ndjson',
  mediaType: 'application/x-ndjson',
  contentType: 'application/x-ndjson',
  failure: (json) => `{"type":"${failureType}","data":${json}}\n`,
  heartbeat: '\n',
  encode(message) {
    const { type, text, isJson, time } = message;
    const stored = time === undefined ? '' : `"time":${digitsOf(time)},`;
    return `{${names(message)}${member('type', type)}${stored}"data":${isJson ? text : JSON.stringify(text)}}\n`;
  },
};

/**
 * The same for a client that asks for more than messages. It gets lines of their own: first of all `{ position?, heartbeatMs, ended? }`, behind
 * a replay `{ position }`, and at the end `{ retry }` or `{ error }`.
 */
export const markedNdjson: Format = {
  ...ndjson,
  opening: ({ position, heartbeatMs, ended }) =>
    `${JSON.stringify({ position, heartbeatMs, ended: ended.length > 0 ? ended : undefined })}\n`,
  mark: (position, isStart) => (isStart ? undefined : `{"position":"${position}"}\n`), // it has begun with where it starts
  retry: (ms) => `{"retry":${ms}}\n`,
  failure: (json) => `{"error":${json}}\n`,
};

/** Its id and its feed. Those of a stored message have no characters that JSON escapes; to look at each would take as long as all the rest. */
function names(message: TextMessage): string {
  const { id, feed } = message;
  return 'offset' in message ? `"id":"${id}","feed":"${feed}",` : member('id', id) + member('feed', feed);
}

function member(name: string, value: string | undefined): string {
  return value === undefined ? '' : `"${name}":${JSON.stringify(value)},`;
}

const million = 1_000_000;

/** A time in digits. V8 writes two small whole numbers in half the time that it takes for a large one. */
function digitsOf(time: number): string {
  if (!Number.isSafeInteger(time) || time < million) return `${time}`;
  const high = Math.floor(time / million);
  return `${high}${`${million + (time - high * million)}`.slice(1)}`;
}
