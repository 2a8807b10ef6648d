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

/** The same for a client that asks for positions: each is a line of its own, `{ position }`. */
export const markedNdjson: Format = { ...ndjson, mark: (position) => `{"position":"${position}"}\n` };

function member(name: string, value: string | undefined): string {
  return value === undefined ? '' : `"${name}":${JSON.stringify(value)},`;
}
