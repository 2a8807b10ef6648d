import { isContent } from '../../message/content.js';
import type { Content } from '../../message/message.js';

/** The subject of a feed. Slashes of its id become dots, and dots percent signs, which no id has. */
export function subjectOf(prefix: string, feed: string): string {
  return `${prefix}.${feed.replaceAll('.', '%').replaceAll('/', '.')}`;
}

/** The feed of a subject. */
export function feedOf(prefix: string, subject: string): string {
  return subject
    .slice(prefix.length + 1)
    .replaceAll('.', '/')
    .replaceAll('%', '.');
}

const isJsonFlag = 1;
const hasTypeFlag = 2;
const clearFlag = 4;
const version = 0x10;

/** A byte of flags; if there is a type, its length in two bytes and the type; the text. */
export function encode({ type, text, isJson }: Content): Uint8Array {
  const typeBytes = type === undefined ? 0 : Buffer.byteLength(type);
  const head = type === undefined ? 1 : 3 + typeBytes;
  const bytes = Buffer.allocUnsafe(head + Buffer.byteLength(text));
  bytes[0] = version | (isJson ? isJsonFlag : 0) | (type === undefined ? 0 : hasTypeFlag);
  if (type !== undefined) {
    bytes.writeUInt16BE(typeBytes, 1);
    bytes.write(type, 3);
  }
  bytes.write(text, head);
  return bytes;
}

/** Tells, in the place of a message, that the feed was cleared. */
export const cleared = Symbol('cleared');

/** What is published to clear a feed. */
export const clearMark = Uint8Array.of(version | clearFlag);

/** The content that was encoded, or that the feed was cleared; undefined for what another program has published to the stream. */
export function decode(data: Uint8Array): Content | typeof cleared | undefined {
  if (data.length === 1 && data[0] === clearMark[0]) return cleared;
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const flags = bytes[0] ?? 0;
  if ((flags & ~(isJsonFlag | hasTypeFlag)) !== version) return undefined;
  const hasType = (flags & hasTypeFlag) !== 0;
  const typeAt = hasType ? 3 : 1;
  const textAt = hasType && bytes.length >= typeAt ? typeAt + bytes.readUInt16BE(1) : typeAt;
  if (bytes.length < textAt) return undefined;
  const type = hasType ? bytes.toString('utf8', typeAt, textAt) : undefined;
  const content = { type, text: bytes.toString('utf8', textAt), isJson: (flags & isJsonFlag) !== 0 };
  return isContent(content) ? content : undefined;
}
