import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { SocketProxy } from './socket-proxy.js';
import { proxyFor } from './tls-socket-proxy.js';

/** What Node's HTTP code listens to on a socket, beside 'close'. */
const heard = ['data', 'end', 'drain', 'timeout', 'error'] as const;

/**
 * Puts a proxy in the place of a socket that Node's HTTP code has had itself, for the rest of its last response. Once that is finished,
 * the HTTP code is told that the socket is closed, and frees its parser.
 *
 * @param last the last listener of 'close' that the socket had before Node's HTTP code got it
 */
export function standIn(socket: Socket, response: ServerResponse, last: () => void): SocketProxy {
  const listeners = socket.rawListeners('close');
  const closing = listeners.slice(listeners.indexOf(last) + 1);
  for (const listener of closing) socket.off('close', listener as () => void);
  for (const event of heard) socket.removeAllListeners(event);
  const proxy = proxyFor(socket);
  // Node's HTTP code calls it after an answer that closes its connection, as that of a feed does.
  socket.destroySoon = () => {};
  response.assignSocket(proxy as unknown as Socket);
  response.on('close', () => {
    socket.setTimeout(0);
    for (const listener of closing) listener.call(socket, false);
    socket.destroySoon = Object.getPrototypeOf(socket).destroySoon;
  });
  return proxy;
}
