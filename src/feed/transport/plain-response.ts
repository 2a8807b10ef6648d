import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import type { Outlet } from '../connection/connection.js';
import type { Format } from '../format/format.js';
import { SocketProxy } from './socket-proxy.js';

const feedSockets = new WeakSet<Socket>();

/** Whether the socket carries a feed already: a request that was pipelined behind one is never answered. */
export function carriesFeed(socket: Socket): boolean {
  return feedSockets.has(socket);
}

/** Sockets on which a feed is being opened. */
const openingSockets = new WeakSet<Socket>();

/**
 * Has only one of the requests that came on a connection be opened at a time: what was pipelined behind it is let in when it turns
 * out that it does not become a feed. HTTP/2 carries many responses on one.
 *
 * @returns whether it is this one's turn; if not, its client has left before
 */
export async function enter(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
  const { httpVersionMajor, socket } = request;
  if (httpVersionMajor !== 1) return true;
  // Until its turn has come, a response has no socket, and is not told that its client has left.
  if (!response.socket && !(await turnOf(response, socket))) return false;
  while (openingSockets.has(socket)) await turn();
  openingSockets.add(socket);
  return true;
}

/** Resolves when Node gives the response its socket, because all before it have been answered, or when that is gone. */
function turnOf(response: ServerResponse, socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    if (socket.destroyed) return resolve(false);
    const settle = (hasTurn: boolean) => {
      response.off('socket', onTurn);
      socket.off('close', onGone);
      resolve(hasTurn);
    };
    const onTurn = () => settle(true);
    const onGone = () => settle(false);
    response.on('socket', onTurn);
    socket.on('close', onGone);
  });
}

/** It is decided whether the request becomes a feed. */
export function leave({ socket }: IncomingMessage): void {
  openingSockets.delete(socket);
}

/** Notes that the socket carries a feed from now on. HTTP/2 carries many responses on one. */
export function claim({ httpVersionMajor, socket }: IncomingMessage): void {
  if (httpVersionMajor === 1) feedSockets.add(socket);
}

/** Whether the response's body comes in chunks: HTTP/1.0 does not know them, HTTP/2 has frames of its own. */
export function isChunked(request: IncomingMessage): boolean {
  return request.httpVersionMajor === 1 && request.httpVersionMinor >= 1;
}

/** Sets the head of a feed's response; what the application has set already stays. */
export function setHead(request: IncomingMessage, response: ServerResponse, format: Format): void {
  response.setHeader('Content-Type', format.contentType);
  if (!response.hasHeader('Cache-Control')) response.setHeader('Cache-Control', 'no-store, no-transform');
  // nginx would otherwise collect the chunks before it passes them on
  if (!response.hasHeader('X-Accel-Buffering')) response.setHeader('X-Accel-Buffering', 'no');
  response.removeHeader('Content-Length');
  if (isChunked(request)) response.setHeader('Transfer-Encoding', 'chunked');
  // A feed's end is its connection's end. HTTP/2 has no such header (RFC 9113 section 8.2.2).
  if (request.httpVersionMajor === 1) response.setHeader('Connection', 'close');
}

/** Sends the head and keeps the response as Node made it: the way that always works, at a higher price. */
export function keepResponse(request: IncomingMessage, response: ServerResponse): Outlet {
  response.flushHeaders();
  if (request.httpVersionMajor === 1) discardInput(request.socket);
  return { stream: response, chunked: false };
}

/**
 * From now on, what the client sends is thrown away unread. Node's parser would keep each pipelined request until the feed
 * ends; nothing but a client's leaving is of interest here, and that the other listeners still see.
 */
function discardInput(socket: Socket | SocketProxy): void {
  if (socket instanceof SocketProxy) socket.ignoreInput();
  socket.removeAllListeners('data');
  socket.on('data', ignore);
}

function ignore() {}
