import type { IncomingMessage, ServerResponse } from 'node:http';
import { ndjson } from '../format/ndjson.js';
import { formatPosition } from '../message/position.js';
import type { HistoryPage } from '../pubsub/history.js';

/** How many characters of an answer are sent at once: the client reads them while the next ones are encoded. */
const partLength = 2 ** 16;

/** Sets the head of an answer with history. What the application has set stays. */
export function setHistoryHead(response: ServerResponse, page: HistoryPage, isCached: boolean): void {
  response.setHeader('Feed-Position', formatPosition(page.position));
  if (page.isCut) response.setHeader('Feed-History', 'cut');
  if (isCached) response.setHeader('ETag', tagOf(page));
  if (!response.hasHeader('Cache-Control')) response.setHeader('Cache-Control', isCached ? 'private, no-cache' : 'no-store');
}

/** Whether the client has what would be sent (RFC 9110 section 13.1.2). */
export function isUnchanged({ headers }: IncomingMessage, response: ServerResponse): boolean {
  const known = headers['if-none-match']?.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return known?.some((tag) => tag === '*' || tag === response.getHeader('ETag')) ?? false;
}

/** Writes `{ messages, position, reset?, ended? }`, a message a line, and ends the response. */
export function writeHistory(response: ServerResponse, { messages, position, isReset, ended }: HistoryPage): void {
  response.setHeader('Content-Type', 'application/json; charset=utf-8');
  let text = '{"messages":[';
  for (const [n, message] of messages.entries()) {
    text += (n === 0 ? '\n' : ',') + ndjson.encode(message);
    if (text.length < partLength) continue;
    response.write(text, encodingOf(text));
    response.socket?.uncork(); // Node would wait for the end of the turn
    text = '';
  }
  const rest = { position: formatPosition(position), ...(isReset && { reset: true }), ended };
  text += `],${JSON.stringify(rest).slice(1)}\n`;
  response.end(text, encodingOf(text));
}

/** What a text is encoded by: as one byte a character where it has no others, which takes a fraction of the time. */
function encodingOf(text: string): 'latin1' | 'utf8' {
  return Buffer.byteLength(text) === text.length ? 'latin1' : 'utf8';
}

/**
 * Changes with the messages, not with the position, which moves on with those of other feeds: of messages that follow each other without a
 * gap, the position of the last and their number tell which they are. An answer without any is as short as a 304, and has nothing but its position.
 */
function tagOf({ messages, position, isReset, ended }: HistoryPage): string {
  return `"${formatPosition(messages.at(-1) ?? position)}.${messages.length}${isReset ? '.reset' : ''}${ended ? '.ended' : ''}"`;
}
