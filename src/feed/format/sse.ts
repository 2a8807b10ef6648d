import { failureType } from '../message/message.js';
import type { Format } from './format.js';

/** What ends a line in an event stream: CRLF, LF or CR (HTML standard, section 9.2.5 "Parsing an event stream"). */
const lineBreak = /\r\n|\r|\n/g;
const hasLineBreak = /[\r\n]/;

/**
 * Server-sent events, for `EventSource`. Each line of the data becomes a `data` field, so that no data can forge another field.
 * An id or a type cannot span lines: one that does is rejected, as is an id with U+0000, which the standard ignores.
 */
export const sse: Format = {
  name: 'sse',
  mediaType: 'text/event-stream',
  contentType: 'text/event-stream',
  encode({ id, type, text, retry, comment }) {
    let event = hasLineBreak.test(text) ? `data: ${text.replace(lineBreak, '\ndata: ')}\n\n` : `data: ${text}\n\n`;
    if (type !== undefined) event = `event: ${oneLine('type', type)}\n${event}`;
    if (id !== undefined) event = `id: ${oneLine('id', id)}\n${event}`;
    if (retry !== undefined) event = `retry: ${milliseconds('retry', retry)}\n${event}`;
    if (comment !== undefined) event = `: ${comment.replace(lineBreak, '\n: ')}\n${event}`;
    return event;
  },
  // A comment: what reads an event stream by hand cannot always read the head.
  opening: ({ connection }) => `: connection ${connection}\n\n`,
  // An event without data sets the id that `EventSource` sends when it reconnects, and is not dispatched (section 9.2.6).
  mark: (position) => `id: ${position}\n\n`,
  failure: (json) => `event: ${failureType}\ndata: ${json}\n\n`,
  // A comment.
  heartbeat: ':\n\n',
  retry: (ms) => `retry: ${ms}\n\n`,
};

/** Clients ignore a time that has anything but digits (section 9.2.6). */
function milliseconds(field: string, value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new TypeError(`a message's ${field} must be a whole number of milliseconds`);
  return value;
}

function oneLine(field: string, value: string): string {
  if (/[\r\n\0]/.test(value)) throw new TypeError(`a message's ${field} must not contain line breaks or U+0000`);
  return value;
}
