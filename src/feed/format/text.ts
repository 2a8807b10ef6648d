import { dataAsText, type FeedMessage } from '../message/message.js';
import type { Format } from './format.js';

/** The data and a line feed: for people, `curl` and line-based tools. */
export const text: Format = {
  name: 'text',
  mediaType: 'text/plain',
  contentType: 'text/plain; charset=utf-8',
  heartbeat: '\n',
  encode: (message: FeedMessage) => `${dataAsText(message)}\n`,
};

/** The same for a connection on several feeds: a published message's feed and a tab come first. */
export const labelledText: Format = {
  ...text,
  encode: (message: FeedMessage) => (message.feed === undefined ? `${dataAsText(message)}\n` : `${message.feed}\t${dataAsText(message)}\n`),
};
