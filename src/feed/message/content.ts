import { FeedMessageException } from '../errors/feed.errors.js';
import { type Content, resetType } from './message.js';

/** The longest type, in characters. */
const longestType = 200;

/**
 * Makes what can be published of a value, and refuses what some format could not give back as it went in.
 *
 * A line of an event stream ends at CR as well as at LF, and all of CR, LF and CRLF come out as LF (HTML standard, section
 * 9.2.6): text with a CR would not come out as it went in. A lone surrogate has no UTF-8.
 *
 * @throws FeedMessageException (400) saying what is wrong and what is allowed
 */
export function contentOf(data: unknown, type?: string): Content {
  if (type !== undefined) checkType(type);
  const text = typeof data === 'string' ? data : data instanceof Uint8Array ? asUtf8(data) : undefined;
  if (text === undefined) return { type, text: asJson(data), isJson: true };
  if (text.includes('\r')) {
    throw new FeedMessageException(
      "A message's text must not contain carriage returns: end its lines with a line feed, or send it in a JSON object.",
    );
  }
  if (!text.isWellFormed()) throw new FeedMessageException("A message's text must be Unicode without lone surrogates.");
  return { type, text, isJson: false };
}

function checkType(type: unknown): void {
  if (typeof type !== 'string' || type.length < 1 || type.length > longestType || /[\r\n\0]/.test(type) || !type.isWellFormed()) {
    throw new FeedMessageException(`A message's type is 1 to ${longestType} characters, without line breaks, U+0000 and lone surrogates.`);
  }
  if (type === resetType) {
    throw new FeedMessageException(`The type "${resetType}" is how a feed tells that messages are lost: give your messages another one.`);
  }
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function asUtf8(bytes: Uint8Array): string {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    throw new FeedMessageException("A message's bytes must be UTF-8.");
  }
}

function asJson(data: unknown): string {
  try {
    return JSON.stringify(data) ?? 'null';
  } catch (error) {
    throw new FeedMessageException(`A message's data must be text, bytes or a JSON value: ${(error as Error).message}`);
  }
}
