import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Coding } from '../coding/choose-coding.js';
import { FeedException } from '../errors/feed-exception.js';
import type { Format } from '../format/format.js';
import { type AnyResponse, rawOf } from './adapter.js';

/** Whether the application has said how a response is encoded: what is written then is left to it. */
export function isEncoded(response: AnyResponse): boolean {
  return rawOf(response).hasHeader('Content-Encoding') || 'content-encoding' in response.getHeaders();
}

/**
 * Sets the head of a feed's response. What the application has set stays.
 *
 * @param coding undefined where it does not depend on what the client accepts
 */
export function setFeedHead(
  { httpVersionMajor, httpVersionMinor }: IncomingMessage,
  response: ServerResponse,
  format: Format,
  coding: Coding | undefined,
): void {
  response.setHeader('Content-Type', format.contentType);
  if (!response.hasHeader('Cache-Control')) response.setHeader('Cache-Control', 'no-store, no-transform');
  // nginx would otherwise collect the chunks before it passes them on
  if (!response.hasHeader('X-Accel-Buffering')) response.setHeader('X-Accel-Buffering', 'no');
  response.removeHeader('Content-Length');
  if (coding !== undefined) response.appendHeader('Vary', 'Accept-Encoding');
  if (coding === 'gzip') response.setHeader('Content-Encoding', coding);
  if (httpVersionMajor !== 1) return;
  // HTTP/1.0 knows no chunks.
  if (httpVersionMinor >= 1) response.setHeader('Transfer-Encoding', 'chunked');
  // The end of a feed is the end of its connection.
  response.setHeader('Connection', 'close');
}

/**
 * Sets the headers that belong to an error, which the application's exception filter answers.
 *
 * @returns the error, to be thrown
 */
export function withErrorHead(error: unknown, response: AnyResponse): unknown {
  if (!(error instanceof FeedException)) return error;
  const { retryAfter, challenge } = error;
  const raw = rawOf(response);
  if (raw.headersSent) return error;
  if (challenge !== undefined) raw.setHeader('WWW-Authenticate', challenge);
  if (retryAfter !== undefined) raw.setHeader('Retry-After', retryAfter);
  if (raw.req.httpVersionMajor !== 1) return error; // HTTP/2 closes no connection for a stream
  // Descriptors are scarce: a client that was told to come back later must not keep one.
  if (retryAfter === undefined && isSoonRead(raw.req)) return error;
  raw.setHeader('Connection', 'close');
  if (!raw.req.complete) abandonBody(raw.req);
  return error;
}

/** The most bytes of a rejected body that Node may read, so that its connection can be used again. */
const mostReadBytes = 65_536;

function isSoonRead({ complete, headers }: IncomingMessage): boolean {
  return complete || Number(headers['content-length']) <= mostReadBytes;
}

/** How long a client that sends a rejected body may take to read why, in milliseconds. */
const lingerMs = 1000;

/**
 * Reads no more of a rejected body, which Node would read to its end, however long it is. Its client may still be sending: closing the
 * connection at once would take the answer from it (RFC 9112 section 9.6).
 */
function abandonBody(request: IncomingMessage): void {
  const { socket } = request;
  if (request.readableFlowing) request.pause();
  else request.read(0); // Node then takes the body to be read by the application
  // Node's HTTP code calls it after an answer that closes its connection.
  socket.destroySoon = () => {
    socket.end();
    setTimeout(() => socket.destroy(), lingerMs).unref();
  };
}
