import { type Format, failureType } from './format.js';

/** One JSON object a line: `{ id?, feed?, type?, data }`. */
export const ndjson: Format = {
  name: 'ndjson',
  mediaType: 'application/x-ndjson',
  contentType: 'application/x-ndjson',
  failure: (json) => `{"type":"${failureType}","data":${json}}\n`,
  heartbeat: '\n',
  encode({ id, feed, type, text, isJson }) {
    return `{${member('id', id)}${member('feed', feed)}${member('type', type)}"data":${isJson ? text : JSON.stringify(text)}}\n`;
  },
};

function member(name: string, value: string | undefined): string {
  return value === undefined ? '' : `"${name}":${JSON.stringify(value)},`;
}
