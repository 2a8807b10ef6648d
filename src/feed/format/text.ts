import type { Format } from './format.js';

/** The data and a line feed: for people, `curl` and line-based tools. */
export const text: Format = {
  name: 'text',
  mediaType: 'text/plain',
  contentType: 'text/plain; charset=utf-8',
  heartbeat: '\n',
  encode: (message) => `${message.text}\n`,
};

/** The same for a connection on several feeds: the feed of a published message and a tab come first. */
export const labelledText: Format = {
  ...text,
  encode: ({ feed, text }) => (feed === undefined ? `${text}\n` : `${feed}\t${text}\n`),
};
