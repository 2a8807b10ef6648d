import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { SocketProxy } from './socket-proxy.js';
import { Transport } from './transport.js';

/** Sends the head and keeps the response in Node's HTTP stack: the way that always works, at a higher price. */
export function plainResponse(request: IncomingMessage, response: ServerResponse): Transport {
  response.flushHeaders();
  if (request.httpVersionMajor === 1) discardInput(request.socket);
  else request.resume(); // a stream that the client closes is only closed here once its input has been read
  return new Transport(response, false);
}

/**
 * Throws away what the client sends from now on. Node's parser would keep each pipelined request until the feed ends; the only
 * thing of interest here is that the client leaves, and the other listeners still see that.
 */
function discardInput(socket: Socket | SocketProxy): void {
  if (socket instanceof SocketProxy) socket.ignoreInput();
  socket.removeAllListeners('data');
  socket.on('data', ignore);
}

function ignore() {}
