import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { ServerSockets } from './server-sockets.js';

/** Sockets that carry a feed. */
const feedSockets = new WeakSet<Socket>();

/** Sockets on which a feed is being opened. */
const openingSockets = new WeakSet<Socket>();

/**
 * Lets one request at a time open a feed on a socket: one that was pipelined behind another waits until that turns out not to become a
 * feed, and one behind a feed is never answered. HTTP/2 carries many responses on one socket.
 *
 * @returns whether this request may open one; if not, its client has left, or another feed has the socket
 */
export async function beginOpening(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
  const { httpVersionMajor, socket } = request;
  if (httpVersionMajor !== 1) return true;
  // Until its turn has come, a response has no socket, and is not told that its client has left.
  if (!response.socket && !(await hasSocket(response, socket))) return false;
  while (openingSockets.has(socket)) await nextTurn();
  if (feedSockets.has(socket)) return false;
  openingSockets.add(socket);
  return true;
}

/** It is decided whether the request becomes a feed: the next one may open. */
export function endOpening({ socket }: IncomingMessage): void {
  openingSockets.delete(socket);
}

/**
 * The socket carries a feed from now on.
 *
 * @returns whether it is a socket of this request alone: HTTP/2 shares it, and others may be pipelined behind this one
 */
export function claimSocket(request: IncomingMessage): boolean {
  if (request.httpVersionMajor !== 1) return false;
  feedSockets.add(request.socket);
  return ServerSockets.release(request);
}

/** Resolves when Node gives the response its socket, because all before it have been answered, or when that is closed. */
function hasSocket(response: ServerResponse, socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    if (socket.destroyed) return resolve(false);
    const settle = (isTurn: boolean) => {
      response.off('socket', onTurn);
      socket.off('close', onClose);
      resolve(isTurn);
    };
    const onTurn = () => settle(true);
    const onClose = () => settle(false);
    response.on('socket', onTurn);
    socket.on('close', onClose);
  });
}
