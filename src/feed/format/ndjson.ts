import type { Format } from './format.js';

/** One JSON object a line: `{ id?, feed?, type?, data, time? }`. */
export const ndjson: Format = {
  name: 'ndjson',
  mediaType: 'application/x-ndjson',
  contentType: 'application/x-ndjson',
  heartbeat: '\n',
  encode({ id, feed, type, text, isJson, time }) {
    const data = isJson ? text : JSON.stringify(text);
    return `{${member('id', id)}${member('feed', feed)}${member('type', type)}"data":${data}${time === undefined ? '' : `,"time":${time}`}}\n`;
  },
};

/** The same for a client that asks for positions: each is a line of its own, `{ position }`. */
export const markedNdjson: Format = { ...ndjson, mark: (position) => `{"position":"${position}"}\n` };

function member(name: string, value: string | undefined): string {
  return value === undefined ? '' : `"${name}":${JSON.stringify(value)},`;
}
