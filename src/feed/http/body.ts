import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import * as v from 'valibot';
import { FeedException } from '../errors/feed-exception.js';
import { tooLarge } from '../errors/to-feed-exception.js';
import { contentOf, decodeUtf8 } from '../message/content.js';
import { type FeedEnd, feedEndReasons, longestEndMessage } from '../message/end.js';
import type { FeedRequest } from './feed-request.js';

const text = 'text/plain';
const json = 'application/json';

/**
 * Reads the value that a request publishes: a string as `text/plain`, a JSON value as `application/json`. A body parser of the
 * application may have read it before. What the request was granted may hold no more once it is read: that is checked.
 *
 * @param limit the most bytes that it may have
 * @param accepted media types; default: both
 * @throws FeedException FEED_MEDIA_TYPE (415), FEED_BODY_TOO_LARGE (413), FEED_MESSAGE (400: neither UTF-8 nor JSON), FEED_REVOKED (403),
 * FEED_UNAUTHORIZED (401)
 */
export async function readBody(request: FeedRequest, limit: number, accepted: readonly string[] = [text, json]): Promise<unknown> {
  const { raw, parsedBody } = request;
  const type = typeOf(raw.headers, accepted);
  const length = Number(raw.headers['content-length']);
  if (length > limit) throw tooLarge(limit);
  if (raw.readableEnded || parsedBody !== undefined) {
    const body = type === text ? (parsedBody ?? '') : parsedBody;
    return length <= limit ? body : withinLimit(body, limit);
  }
  const value = await readUtf8(raw, limit);
  request.checkGrant();
  return type === json ? parseJson(value) : value;
}

/** @throws FeedException FEED_MEDIA_TYPE (415) */
function typeOf(headers: IncomingHttpHeaders, accepted: readonly string[]): string {
  const whole = headers['content-type'];
  if (whole !== undefined && headers['content-encoding'] === undefined && accepted.includes(whole)) return whole;
  const type = headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  const allowed = accepted.join(' or ');
  if (!accepted.includes(type)) throw unsupported(allowed);
  // Also where a parser of the application has read it: some of them take any bytes for UTF-8.
  if (!isUtf8(headers)) throw unsupported(`${allowed}, in UTF-8 and without Content-Encoding`);
  return type;
}

const failure = v.strictObject({ error: v.optional(v.pipe(v.string(), v.maxLength(longestEndMessage))) });

/**
 * Reads how a request ends a feed: `?end=stopped`, or any other of the reasons, and as its body nothing, or `{ "error": "…" }`, with which
 * the feed has `failed`. Default: it is `completed`.
 *
 * @throws FeedException FEED_MESSAGE (400), and as `readBody()`
 */
export async function readEnd(request: FeedRequest, end: string, limit: number): Promise<FeedEnd> {
  const given = feedEndReasons.find((reason) => reason === end);
  if (!given && end !== '') throw invalid(`?end is one of ${feedEndReasons.join(', ')}, or has no value.`);
  const body = v.safeParse(failure, await readOptional(request, limit));
  if (!body.success) throw invalid(`The body must be empty, or { error: 0 to ${longestEndMessage} characters }.`);
  const { error: message } = body.output;
  const reason = given ?? (message === undefined ? 'completed' : 'failed');
  if (message !== undefined && reason !== 'failed') throw invalid(`A feed that is ${reason} has no error.`);
  return { reason, message };
}

/**
 * The JSON of a request that may have no body: `{}` then. Whether it has one, no header tells in HTTP/2 (RFC 9113 section 8.1.1): it is read.
 * In HTTP/1, one without is not: its client may have left, and then nothing tells the end of what it sent.
 */
async function readOptional(request: FeedRequest, limit: number): Promise<unknown> {
  const { raw, parsedBody } = request;
  const { 'content-length': length, 'transfer-encoding': encoding } = raw.headers;
  if (raw.readableEnded || parsedBody !== undefined) return isNothing(parsedBody) ? {} : readBody(request, limit, [json]);
  if (Number(length ?? 0) > 0) return readBody(request, limit, [json]);
  if (raw.httpVersionMajor === 1 && encoding === undefined) return {};
  const bytes = await readBytes(raw, limit);
  request.checkGrant();
  if (bytes.length === 0) return {};
  typeOf(raw.headers, [json]);
  return parseJson(decodeUtf8(bytes, 'The body'));
}

/** What parsers make of a body without bytes. */
function isNothing(parsed: unknown): boolean {
  return parsed === undefined || parsed === '' || (isObject(parsed) && Object.keys(parsed).length === 0);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(message: string): FeedException {
  return new FeedException('FEED_MESSAGE', { message });
}

function unsupported(allowed: string): FeedException {
  return new FeedException('FEED_MEDIA_TYPE', { message: `Publish with Content-Type: ${allowed}.` });
}

/** Whether the bytes are neither compressed nor in another charset. */
function isUtf8({ 'content-type': type = '', 'content-encoding': encoding = 'identity' }: IncomingHttpHeaders): boolean {
  const charset = /;\s*charset\s*=\s*"?([^\s";]*)/i.exec(type)?.[1] ?? 'utf-8';
  return /^(utf-?8|us-ascii)$/i.test(charset) && /^identity$/i.test(encoding.trim());
}

/** The size of what the application's parser has read, where the request has no `Content-Length`, is that of the same value in JSON. */
function withinLimit(body: unknown, limit: number): unknown {
  const text = typeof body === 'string' ? body : contentOf(body).text;
  if (Buffer.byteLength(text) > limit) throw tooLarge(limit);
  return body;
}

/** @throws FeedException FEED_BODY_TOO_LARGE (413), FEED_MESSAGE (400: not UTF-8) */
export async function readUtf8(request: IncomingMessage, limit: number): Promise<string> {
  return decodeUtf8(await readBytes(request, limit), 'The body');
}

/** Keeps no more than the limit: the rest of a body that is too large is thrown away. */
function readBytes(request: IncomingMessage, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const onClose = () => reject(invalid('The body is incomplete.'));
    if (request.destroyed) return onClose(); // its client has left: no event comes any more
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= limit) chunks.push(chunk);
      else reject(tooLarge(limit));
    });
    request.once('end', () => {
      request.off('close', onClose);
      resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks));
    });
    request.once('close', onClose);
  });
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (error) {
    throw invalid(`The body must be JSON: ${(error as Error).message}`);
  }
}
