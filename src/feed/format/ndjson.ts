import type { FeedMessage } from '../feed.message.js';
import type { Format } from './format.js';

const utf8 = new TextDecoder();

/** One JSON object a line: `{ id?, type?, data }`. */
export const ndjson: Format = {
  name: 'ndjson',
  mediaType: 'application/x-ndjson',
  contentType: 'application/x-ndjson',
  encode: ({ id, type, data }: FeedMessage) =>
    `${JSON.stringify({ id, type, data: data instanceof Uint8Array ? utf8.decode(data) : (data ?? null) })}\n`,
};
