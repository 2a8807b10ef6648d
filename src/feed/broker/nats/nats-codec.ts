import { isContent } from '../../message/content.js';
import type { Content } from '../../message/message.js';
import { withTrace } from '../../message/trace.js';

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
const hasTraceFlag = 8;
const version = 0x10;

/** A byte of flags; if there is a type, its length in two bytes and the type; the same for a trace; the text. */
export function encode({ type, text, isJson, trace }: Content): Uint8Array {
  const bytes = Buffer.allocUnsafe(1 + fieldBytes(type) + fieldBytes(trace) + Buffer.byteLength(text));
  bytes[0] = version | (isJson ? isJsonFlag : 0) | (type === undefined ? 0 : hasTypeFlag) | (trace === undefined ? 0 : hasTraceFlag);
  bytes.write(text, writeField(trace, bytes, writeField(type, bytes, 1)));
  return bytes;
}

function fieldBytes(field: string | undefined): number {
  return field === undefined ? 0 : 2 + Buffer.byteLength(field);
}

/** Writes a field with its length, if there is one; returns where it ends. */
function writeField(field: string | undefined, bytes: Buffer, at: number): number {
  if (field === undefined) return at;
  const length = bytes.write(field, at + 2);
  return bytes.writeUInt16BE(length, at) + length;
}

/** Where a field ends that may begin here. */
function fieldEnd(hasField: boolean, bytes: Buffer, at: number): number {
  if (!hasField) return at;
  return at + 2 + (bytes.length >= at + 2 ? bytes.readUInt16BE(at) : 0);
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
  if ((flags & ~(isJsonFlag | hasTypeFlag | hasTraceFlag)) !== version) return undefined;
  const [hasType, hasTrace] = [(flags & hasTypeFlag) !== 0, (flags & hasTraceFlag) !== 0];
  const typeEnd = fieldEnd(hasType, bytes, 1);
  const traceEnd = fieldEnd(hasTrace, bytes, typeEnd);
  if (bytes.length < traceEnd) return undefined;
  const type = hasType ? bytes.toString('utf8', 3, typeEnd) : undefined;
  const trace = hasTrace ? bytes.toString('utf8', typeEnd + 2, traceEnd) : undefined;
  const content = withTrace({ type, text: bytes.toString('utf8', traceEnd), isJson: (flags & isJsonFlag) !== 0 }, trace);
  return isContent(content) ? content : undefined;
}
