import { dataAsJson, type FeedMessage } from '../message/message.js';
import type { Format } from './format.js';

/** One JSON object a line: `{ id?, feed?, type?, data }`. */
export const ndjson: Format = {
  name: 'ndjson',
  mediaType: 'application/x-ndjson',
  contentType: 'application/x-ndjson',
  heartbeat: '\n',
  encode(message: FeedMessage) {
    const { id, feed, type } = message;
    return `{${member('id', id)}${member('feed', feed)}${member('type', type)}"data":${dataAsJson(message)}}\n`;
  },
};

function member(name: string, value: string | undefined): string {
  return value === undefined ? '' : `"${name}":${JSON.stringify(value)},`;
}
