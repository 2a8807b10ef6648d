import type { IncomingMessage, ServerResponse } from 'node:http';
import { isBelow } from './headers-below.js';

/** What a page may send: to read a feed, to publish, to end and to clear one. */
const allowedMethods = 'GET, HEAD, POST, DELETE, QUERY';
const allowedHeaders =
  'Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, X-Feed-Key, traceparent, tracestate, baggage';
/** What a page may read of an answer, beside what every page may. */
const exposedHeaders = 'ETag, Feed-Connection, Feed-History, Feed-Position, Retry-After, WWW-Authenticate';

/** How long a browser need not ask again, in seconds: none stores it for longer than two hours. */
const maxAge = '7200';

/**
 * Lets pages of these origins use the service, with and without credentials (https://fetch.spec.whatwg.org/#http-cors-protocol). A page of
 * any other one gets no header that would let it read an answer.
 *
 * @param origins as browsers send them
 * @param closed a path of which, and below which, nothing is for other origins
 * @returns middleware, which sets its headers before anything can fail
 */
export function cors(origins: readonly string[], closed: string | undefined) {
  const allowed = new Set(origins);
  return ({ method, url = '', headers }: IncomingMessage, response: ServerResponse, next: () => void): unknown => {
    if (closed !== undefined && isBelow(closed, url)) return next();
    // The answer to one origin is not that to another, also where there is none (Fetch standard, section 3.2.7).
    response.setHeader('Vary', 'Origin');
    const { origin } = headers;
    if (origin === undefined || !allowed.has(origin)) return next();
    response.setHeader('Access-Control-Allow-Origin', origin);
    response.setHeader('Access-Control-Allow-Credentials', 'true');
    if (method !== 'OPTIONS' || headers['access-control-request-method'] === undefined) {
      response.setHeader('Access-Control-Expose-Headers', exposedHeaders);
      return next();
    }
    response.setHeader('Access-Control-Allow-Methods', allowedMethods);
    response.setHeader('Access-Control-Allow-Headers', allowedHeaders);
    response.setHeader('Access-Control-Max-Age', maxAge);
    return response.writeHead(204).end();
  };
}
