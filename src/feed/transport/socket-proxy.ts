import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';

/**
 * Represents a socket towards Node's HTTP code, so that the real socket can be taken away from it.
 *
 * Until then it passes everything on, both ways. Afterwards it drops what is still written to it, and what Node does to it, such as
 * destroying it, no longer reaches the socket. `http.Server` accepts any Duplex as a connection (Node's documentation of its
 * 'connection' event).
 *
 * Requests are passed on one at a time, each once the one before it is answered: of what a peer pipelines in one packet Node would
 * make thousands of requests in one turn of the event loop, though a feed is the last request on its connection.
 */
export class SocketProxy extends Duplex {
  /** Whether the socket has been taken out. */
  private isDetached = false;
  /** The writer's callback, while the socket is full. */
  private onWritable: (() => void) | undefined = undefined;
  /** What came behind a request that is not answered yet. The socket is paused meanwhile. */
  private pending: Buffer | undefined = undefined;
  /** Requests that are not answered yet: one, or two where a body and the next head could not be told apart. */
  private unanswered = 0;
  /** The last of them. */
  private request: IncomingMessage | undefined = undefined;
  /** Whether more is passed on in the next turn of the event loop. */
  private isScheduled = false;
  /** Whether input is thrown away. */
  private ignoresInput = false;
  /** Whether its request has had its turn in the queue of openings. */
  hasTurn = false;

  constructor(readonly socket: Socket) {
    super({ allowHalfOpen: true, decodeStrings: false });
    proxyOf.set(socket, this);
    socket.on('data', onData).on('end', onEnd).on('drain', onDrain);
    socket.on('timeout', onTimeout).on('error', onError).on('close', onClose);
  }

  /** Whether bytes wait here that the socket has not been given. */
  get isBacklogged(): boolean {
    return this.onWritable !== undefined || this.writableLength > 0;
  }

  /** Takes the socket out: neither this object nor Node's HTTP code has to do with it from now on. */
  detach(): Socket {
    const { socket } = this;
    this.isDetached = true;
    this.pending = undefined;
    proxyOf.delete(socket);
    socket.off('data', onData).off('end', onEnd).off('drain', onDrain);
    socket.off('timeout', onTimeout).off('error', onError).off('close', onClose);
    socket.setTimeout(0);
    // The head may have filled the socket, or found it closed: a writer that waits here would wait for ever, and never be freed.
    this.forwardDrain();
    return socket;
  }

  /** Throws input away from now on. The end of the input is still passed on. */
  ignoreInput(): void {
    this.ignoresInput = true;
    this.pending = undefined;
    this.pass();
  }

  /** @internal Node has made a request of what was passed on. */
  begin(request: IncomingMessage, response: ServerResponse): void {
    this.unanswered += 1;
    this.request = request;
    response.on('close', onAnswered);
  }

  /** @internal The next request gets a turn of the event loop of its own: other sockets come in between. */
  answered(): void {
    this.unanswered -= 1;
    if (this.unanswered === 0) {
      this.request = undefined;
      this.hasTurn = false;
    }
    if (this.pending) this.passSoon();
  }

  /** @internal */
  receive(chunk: Buffer): void {
    if (this.ignoresInput) return;
    this.pending = this.pending ? Buffer.concat([this.pending, chunk]) : chunk;
    this.pass();
  }

  /** @internal Passes on what is pending, head by head, until a request has to be answered first. */
  pass(): void {
    this.isScheduled = false;
    if (this.isDetached) return;
    while (this.pending && this.wantsMore) {
      const { pending } = this;
      const end = pending.indexOf(headEnd) + headEnd.length;
      const isLast = end < headEnd.length || end === pending.length;
      this.pending = isLast ? undefined : pending.subarray(end);
      this.push(isLast ? pending : pending.subarray(0, end));
    }
    if (!this.pending && this.socket.readableEnded) this.push(null);
    else if (this.pending || this.readableLength > 0) this.socket.pause();
    else this.socket.resume();
  }

  /** Whether Node has read everything so far, and waits for a request, or for the rest of a request's body. */
  private get wantsMore(): boolean {
    return this.readableLength === 0 && (this.request === undefined || !this.request.complete);
  }

  override _read(): void {
    if (this.isDetached) return;
    // Not at once: Node may be about to read a request.
    if (this.pending) this.passSoon();
    else this.socket.resume();
  }

  private passSoon(): void {
    if (this.isScheduled) return;
    this.isScheduled = true;
    setImmediate(pass, this);
  }

  override _write(chunk: Buffer | string, encoding: BufferEncoding, callback: () => void): void {
    if (this.isDetached || this.socket.write(chunk, encoding)) callback();
    else this.onWritable = callback;
  }

  /** What Node's HTTP code writes together, as a head and a body, goes out together. */
  override _writev(chunks: { chunk: Buffer | string; encoding: BufferEncoding }[], callback: () => void): void {
    const { socket } = this;
    let isWritable = true;
    socket.cork();
    for (const { chunk, encoding } of chunks) isWritable = this.isDetached || socket.write(chunk, encoding);
    socket.uncork();
    if (isWritable) callback();
    else this.onWritable = callback;
  }

  override _final(callback: () => void): void {
    if (!this.isDetached) this.socket.end();
    callback();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    if (!this.isDetached) this.socket.destroy(error ?? undefined);
    callback(error);
  }

  /** Ends the socket once everything is written. Node calls this after the last response of a connection. */
  destroySoon(): void {
    this.pending = undefined;
    // In the next tick: a stream that is destroyed in the callback of its own write makes an unused error, with a stack.
    if (this.isDetached) process.nextTick(destroy, this);
    else this.socket.destroySoon();
  }

  /** @internal */
  forwardDrain(): void {
    const { onWritable } = this;
    this.onWritable = undefined;
    onWritable?.();
  }

  // What Node's HTTP code, the frameworks and their plug-ins use of a socket. After the socket was taken out, its addresses are still
  // there for request loggers, which write their line then.
  setTimeout(ms: number, callback?: () => void): this {
    if (callback) this.once('timeout', callback);
    if (!this.isDetached) this.socket.setTimeout(ms);
    return this;
  }
  setNoDelay(noDelay?: boolean): this {
    if (!this.isDetached) this.socket.setNoDelay(noDelay);
    return this;
  }
  setKeepAlive(enable?: boolean, initialDelay?: number): this {
    if (!this.isDetached) this.socket.setKeepAlive(enable, initialDelay);
    return this;
  }
  ref(): this {
    if (!this.isDetached) this.socket.ref();
    return this;
  }
  unref(): this {
    if (!this.isDetached) this.socket.unref();
    return this;
  }
  address() {
    return this.socket.address();
  }
  get timeout() {
    return this.socket.timeout;
  }
  get bytesRead() {
    return this.socket.bytesRead;
  }
  get bytesWritten() {
    return this.socket.bytesWritten;
  }
  get connecting() {
    return this.socket.connecting;
  }
  get readyState() {
    return this.socket.readyState;
  }
  get remoteAddress() {
    return this.socket.remoteAddress;
  }
  get remoteFamily() {
    return this.socket.remoteFamily;
  }
  get remotePort() {
    return this.socket.remotePort;
  }
  get localAddress() {
    return this.socket.localAddress;
  }
  get localFamily() {
    return this.socket.localFamily;
  }
  get localPort() {
    return this.socket.localPort;
  }
}

/** The socket that a request came on, whatever stands between. */
export function socketOf({ socket }: IncomingMessage): Socket {
  const connection: unknown = socket;
  return connection instanceof SocketProxy ? connection.socket : socket;
}

/** Whether a request has had its turn in the queue of openings. */
export function hasTurn({ socket }: IncomingMessage): boolean {
  const connection: unknown = socket;
  return connection instanceof SocketProxy && connection.hasTurn;
}

/** Ends a request's head (RFC 9112 section 2.1). */
export const headEnd = '\r\n\r\n';

const proxyOf = new WeakMap<Socket, SocketProxy>();

function onAnswered(this: ServerResponse) {
  (this.req.socket as unknown as SocketProxy).answered();
}
function destroy(proxy: SocketProxy) {
  proxy.destroy();
}
function pass(proxy: SocketProxy) {
  proxy.pass();
}
function onData(this: Socket, chunk: Buffer) {
  proxyOf.get(this)?.receive(chunk);
}
function onEnd(this: Socket) {
  proxyOf.get(this)?.pass();
}
function onDrain(this: Socket) {
  proxyOf.get(this)?.forwardDrain();
}
function onTimeout(this: Socket) {
  proxyOf.get(this)?.emit('timeout');
}
function onError(this: Socket, error: Error) {
  proxyOf.get(this)?.destroy(error);
}
function onClose(this: Socket) {
  proxyOf.get(this)?.destroy();
}
