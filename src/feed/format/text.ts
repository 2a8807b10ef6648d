import { isEnd } from '../message/end.js';
import type { TextMessage } from '../message/message.js';
import type { Format } from './format.js';

/** The data and a line feed: for people, `curl` and line-based tools. A feed that ends leaves no line: the end of the body tells it. */
export const text: Format = {
  name: 'text',
  mediaType: 'text/plain',
  contentType: 'text/plain; charset=utf-8',
  heartbeat: '\n',
  encode: lineOf,
};

/** The same for a connection on several feeds: the feed of a published message and a tab come first. */
export const labelledText: Format = {
  ...text,
  encode: (message) => {
    const line = lineOf(message);
    return line === '' || message.feed === undefined ? line : `${message.feed}\t${line}`;
  },
};

function lineOf(message: TextMessage): string {
  return isEnd(message) && message.feed !== undefined ? '' : `${message.text}\n`;
}
