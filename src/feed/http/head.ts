import type { IncomingMessage, ServerResponse } from 'node:http';
import { FeedException } from '../errors/feed-exception.js';
import type { Format } from '../format/format.js';
import { type AnyResponse, rawOf } from './adapter.js';

/** Sets the head of a feed's response. What the application has set stays. */
export function setFeedHead({ httpVersionMajor, httpVersionMinor }: IncomingMessage, response: ServerResponse, format: Format): void {
  response.setHeader('Content-Type', format.contentType);
  if (!response.hasHeader('Cache-Control')) response.setHeader('Cache-Control', 'no-store, no-transform');
  // nginx would otherwise collect the chunks before it passes them on
  if (!response.hasHeader('X-Accel-Buffering')) response.setHeader('X-Accel-Buffering', 'no');
  response.removeHeader('Content-Length');
  if (httpVersionMajor !== 1) return;
  // HTTP/1.0 knows no chunks.
  if (httpVersionMinor >= 1) response.setHeader('Transfer-Encoding', 'chunked');
  // The end of a feed is the end of its connection.
  response.setHeader('Connection', 'close');
}

/**
 * Sets the headers that belong to an error, before the application's exception filter answers.
 *
 * @returns the error, to be thrown
 */
export function withErrorHead(error: unknown, response: AnyResponse): unknown {
  if (!(error instanceof FeedException)) return error;
  const { retryAfter, challenge } = error;
  const raw = rawOf(response);
  if (raw.headersSent) return error;
  if (challenge !== undefined) raw.setHeader('WWW-Authenticate', challenge);
  if (retryAfter === undefined) return error;
  raw.setHeader('Retry-After', retryAfter);
  // Descriptors are scarce: a client that was rejected must not keep one. HTTP/2 has no such header.
  if (raw.req.httpVersionMajor === 1) raw.setHeader('Connection', 'close');
  return error;
}
