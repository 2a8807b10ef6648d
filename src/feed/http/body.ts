import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { FeedBodyTooLargeException, FeedMediaTypeException, FeedMessageException } from '../errors/feed.errors.js';
import { contentOf } from '../message/content.js';
import { type AnyRequest, rawOf } from './adapter.js';

const text = 'text/plain';
const json = 'application/json';

/**
 * The value that a request brings: a string as `text/plain`, a JSON value as `application/json`. The application's own parser may have
 * read it before; what none has read is read here.
 *
 * @param limit the most bytes that it may have
 * @param accepted media types; default: both
 * @throws FeedMediaTypeException (415), FeedBodyTooLargeException (413), FeedMessageException (400: not UTF-8, not JSON)
 */
export async function readBody(request: AnyRequest, limit: number, accepted: readonly string[] = [text, json]): Promise<unknown> {
  const raw = rawOf(request);
  const type = raw.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (!accepted.includes(type)) throw new FeedMediaTypeException(accepted.join(' or '));
  // Also where a parser of the application has read it: some of them take any bytes for UTF-8.
  if (!isPlain(raw.headers)) throw new FeedMediaTypeException(`${accepted.join(' or ')}, in UTF-8 and without Content-Encoding`);
  if (Number(raw.headers['content-length'] ?? 0) > limit) throw new FeedBodyTooLargeException(limit);
  const { body } = request as { body?: unknown };
  if (raw.readableEnded || body !== undefined) return checked(type === text ? (body ?? '') : body, limit);
  const bytes = await read(raw, limit);
  const value = decode(bytes);
  return type === json ? parse(value) : value;
}

/** Whether the bytes are what they say, and not compressed or in another charset. */
function isPlain({ 'content-type': type = '', 'content-encoding': encoding = 'identity' }: IncomingHttpHeaders): boolean {
  const charset = /;\s*charset\s*=\s*"?([^\s";]*)/i.exec(type)?.[1] ?? 'utf-8';
  return /^(utf-?8|us-ascii)$/i.test(charset) && /^identity$/i.test(encoding.trim());
}

/** What a parser of the application has left: its bytes are not known, unless by the request's own account, checked before. */
function checked(body: unknown, limit: number): unknown {
  const text = typeof body === 'string' ? body : contentOf(body).text;
  if (Buffer.byteLength(text) > limit) throw new FeedBodyTooLargeException(limit);
  return body;
}

/** Reads no more than the limit: the rest of a body that is too large is thrown away unread. */
function read(request: IncomingMessage, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= limit) chunks.push(chunk);
      else reject(new FeedBodyTooLargeException(limit));
    });
    request.once('end', () => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)));
    request.once('close', () => reject(new FeedMessageException('The body did not come to its end.')));
  });
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function decode(bytes: Buffer): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new FeedMessageException('The body must be UTF-8.');
  }
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (error) {
    throw new FeedMessageException(`The body must be JSON: ${(error as Error).message}`);
  }
}
