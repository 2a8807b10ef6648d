import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Format } from '../format/format.js';
import type { Outlet } from './connection.js';

const feedSockets = new WeakSet<Socket>();

/** Whether the socket carries a feed already: a request that was pipelined behind one is never answered. */
export function carriesFeed(socket: Socket): boolean {
  return feedSockets.has(socket);
}

/** Sets the head of a feed's response; what the application has set already stays. */
export function setHead(request: IncomingMessage, response: ServerResponse, format: Format): void {
  response.setHeader('Content-Type', format.contentType);
  if (!response.hasHeader('Cache-Control')) response.setHeader('Cache-Control', 'no-store, no-transform');
  // nginx would otherwise collect the chunks before it passes them on
  if (!response.hasHeader('X-Accel-Buffering')) response.setHeader('X-Accel-Buffering', 'no');
  // A feed's end is its connection's end. HTTP/2 has no such header (RFC 9113 section 8.2.2).
  if (request.httpVersionMajor === 1) response.setHeader('Connection', 'close');
}

/** Sends the head and keeps the response as Node made it: the way that always works, at a higher price. */
export function keepResponse(request: IncomingMessage, response: ServerResponse): Outlet {
  response.flushHeaders();
  if (request.httpVersionMajor === 1) {
    feedSockets.add(request.socket);
    discardInput(request.socket);
  }
  return { stream: response, chunked: false };
}

/**
 * From now on, what the client sends is thrown away unread. Node's parser would keep each pipelined request until the feed
 * ends; nothing but a client's leaving is of interest here, and that the other listeners still see.
 */
function discardInput(socket: Socket): void {
  socket.removeAllListeners('data');
  socket.on('data', ignore);
}

function ignore() {}
