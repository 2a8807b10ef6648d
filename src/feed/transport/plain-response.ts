import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants, type Http2ServerResponse } from 'node:http2';
import type { Socket } from 'node:net';
import { SocketProxy } from './socket-proxy.js';
import { Transport } from './transport.js';

/** Sends the head and keeps the response in Node's HTTP stack: the way that always works, at a higher price. */
export function plainResponse(request: IncomingMessage, response: ServerResponse): Transport {
  response.flushHeaders();
  const isHttp1 = request.httpVersionMajor === 1;
  if (isHttp1 && request.complete && request.readableLength === 0) discardInput(request.socket);
  else {
    request.resume(); // that a client leaves is only noticed once its body has been read
    if (isHttp1) request.on('end', onRead);
  }
  return isHttp1 ? new ResponseTransport(response, false) : new StreamTransport(response, false);
}

/** Node's HTTP code knows no incomplete end: the socket below it ends instead, once what was written has left. */
class ResponseTransport extends Transport {
  override end(isComplete: boolean): void {
    const { socket } = this.stream as ServerResponse;
    if (isComplete) super.end(isComplete);
    else socket?.write('', () => socket.destroySoon()); // not by the response's write(): middleware that has replaced it may call nothing back
  }
}

/** A stream of an HTTP/2 session: the bytes that have left on the session's socket may be those of other streams. */
class StreamTransport extends Transport {
  /** What was written, in bytes; of text that is not Latin-1, in characters. */
  private writtenBytes = 0;

  override get sentBytes(): number {
    return this.writtenBytes - this.stream.writableLength;
  }

  override write(frame: string | Buffer, encoding?: BufferEncoding): boolean {
    this.writtenBytes += frame.length;
    return super.write(frame, encoding);
  }

  /** Without a code, a client would take it for the end of the body (RFC 9113 section 7). */
  override end(isComplete: boolean): void {
    const { stream } = this.stream as unknown as Http2ServerResponse;
    if (isComplete) super.end(isComplete);
    else stream.write('', () => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
  }
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
function onRead(this: IncomingMessage) {
  discardInput(this.socket);
}
