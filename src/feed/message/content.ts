import { createHash } from 'node:crypto';
import { FeedException } from '../errors/feed-exception.js';
import { endType, isEndText } from './end.js';
import { type Content, failureType, resetType } from './message.js';
import { isTrace } from './trace.js';

/** The longest type, in characters. */
const longestType = 200;

/** Types that tell clients something of the feed itself, and why an application cannot publish them. */
const reservedTypes: Readonly<Record<string, string>> = {
  [resetType]: 'tells clients that messages are lost: give your messages another one.',
  [failureType]: 'tells clients that a source has failed: give your messages another one.',
  [endType]: "is that of a feed's last message: finish the feed instead.",
};

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const utf8 = new TextDecoder();

/**
 * Serialises what is to be published, and rejects what some format could not reproduce.
 *
 * A line of an event stream ends at CR as well as at LF, and a client sees all of CR, LF and CRLF as LF (HTML standard, section
 * 9.2.6): text with a CR would be changed. A lone surrogate has no UTF-8.
 *
 * @throws FeedException FEED_MESSAGE (400) saying what is wrong and what is allowed
 */
export function contentOf(data: unknown, type?: string): Content {
  if (type !== undefined) checkType(type);
  const text = typeof data === 'string' ? data : data instanceof Uint8Array ? decodeUtf8(data, "A message's bytes") : undefined;
  if (text === undefined) return { type, text: asJson(data), isJson: true };
  if (text.includes('\r')) {
    throw invalid("A message's text must not contain carriage returns: end its lines with a line feed, or send it in a JSON object.");
  }
  if (!text.isWellFormed()) throw invalid("A message's text must be Unicode without lone surrogates.");
  return { type, text, isJson: false };
}

/** Makes of data what is stored. */
export type Serialise = (data: unknown, type: string | undefined) => Content;

/** Has the application convert data before it is serialised, where it wants to. */
export function serialiserBy(convert: ((data: unknown) => unknown) | undefined): Serialise {
  // Called alone: a second parameter of the application's function is not ours to fill.
  return convert ? (data, type) => contentOf(convert(data), type) : contentOf;
}

/**
 * Decodes bytes that must be UTF-8.
 *
 * @param what names the bytes in the error
 * @throws FeedException FEED_MESSAGE (400)
 */
export function decodeUtf8(bytes: Uint8Array, what: string): string {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    throw invalid(`${what} must be UTF-8.`);
  }
}

/** The text of a source's data: strings as they are, bytes as UTF-8, everything else as JSON. */
export function textOf(data: unknown): string {
  if (typeof data === 'string') return data;
  if (data instanceof Uint8Array) return utf8.decode(data);
  return JSON.stringify(data) ?? 'null';
}

/** Tells content from any other. */
export function digestOf({ type = '', text, isJson }: Content): string {
  return createHash('sha256')
    .update(`${isJson ? 'j' : 't'}${type}\n${text}`)
    .digest('base64url');
}

/** Whether the text of a source's data is JSON, or the data itself. */
export function isJsonData(data: unknown): boolean {
  return typeof data !== 'string' && !(data instanceof Uint8Array);
}

/**
 * Whether content is such as `contentOf()` makes. What a broker's server has may come from another program: it must not end up in a
 * client's stream, where each format relies on this, or in the application.
 *
 * @param content its text and type are decoded from UTF-8
 */
export function isContent({ type, text, isJson, trace }: Content): boolean {
  if (trace !== undefined && !isTrace(trace)) return false;
  if (type === endType) return isJson && isEndText(text) && isJsonLine(text);
  if (type !== undefined && !isPublishable(type)) return false;
  return isJson ? isJsonLine(text) : !text.includes('\r');
}

/** Whether a text is JSON as `JSON.stringify()` writes it: in one line. */
function isJsonLine(text: string): boolean {
  if (text.includes('\n') || text.includes('\r')) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function isType(type: unknown): boolean {
  return typeof type === 'string' && type.length >= 1 && type.length <= longestType && !/[\r\n\0]/.test(type) && type.isWellFormed();
}

/** Whether messages of a type can be published. */
export function isPublishable(type: string): boolean {
  return isType(type) && !Object.hasOwn(reservedTypes, type);
}

function checkType(type: string): void {
  if (!isType(type)) {
    throw invalid(`A message's type is 1 to ${longestType} characters, without line breaks, U+0000 and lone surrogates.`);
  }
  if (Object.hasOwn(reservedTypes, type)) throw invalid(`The type "${type}" ${reservedTypes[type]}`);
}

function asJson(data: unknown): string {
  try {
    return JSON.stringify(data) ?? 'null';
  } catch (error) {
    throw invalid(`A message's data must be text, bytes or a JSON value: ${(error as Error).message}`);
  }
}

function invalid(message: string): FeedException {
  return new FeedException('FEED_MESSAGE', { message });
}
