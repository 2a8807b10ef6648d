import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';

/**
 * Stands in for a socket towards Node's HTTP code, so that the real socket can be taken away from it.
 *
 * Until then it passes everything on, both ways. Afterwards it swallows what is still written to it, and what Node does to
 * it, such as destroying it, no longer concerns the socket. `http.Server` accepts any Duplex as a connection (Node's
 * documentation of its 'connection' event).
 *
 * Requests are passed on one at a time, each once the one before it is answered: Node would make thousands of what a peer pipelines in
 * one packet, before anybody else has a turn, though a feed is the last request on its connection.
 */
export class SocketProxy extends Duplex {
  /** Whether the socket has been taken out. */
  private isDetached = false;
  /** Tells the writer that there is room again, while there is none. */
  private onRoom: (() => void) | undefined = undefined;
  /** What came behind a request that is not answered yet; the socket is paused meanwhile. */
  private held: Buffer | undefined = undefined;
  /** Requests that are not answered yet: one, or two where a body and the next head could not be told apart. */
  private unanswered = 0;
  /** The last of them. */
  private request: IncomingMessage | undefined = undefined;
  /** Whether it will pass on more in the next turn of the event loop. */
  private isDue = false;
  /** Whether what comes is thrown away. */
  private ignoresInput = false;

  constructor(readonly socket: Socket) {
    super({ allowHalfOpen: true, decodeStrings: false });
    proxyOf.set(socket, this);
    socket.on('data', onData).on('end', onEnd).on('drain', onDrain);
    socket.on('timeout', onTimeout).on('error', onError).on('close', onClose);
  }

  /** Whether bytes wait here that the socket has not been given. */
  get isBacklogged(): boolean {
    return this.onRoom !== undefined || this.writableLength > 0;
  }

  /** Takes the socket out: nothing of this object, and nothing of Node's HTTP code, knows it any more. */
  detach(): Socket {
    const { socket } = this;
    this.isDetached = true;
    this.held = undefined;
    proxyOf.delete(socket);
    socket.off('data', onData).off('end', onEnd).off('drain', onDrain);
    socket.off('timeout', onTimeout).off('error', onError).off('close', onClose);
    socket.setTimeout(0);
    // The socket may have said that it is full, or gone, at the head: who waits for room here is not left waiting, or is never freed.
    this.forwardDrain();
    return socket;
  }

  /** From now on throws away what comes; only that the client sends no more is still passed on. */
  ignoreInput(): void {
    this.ignoresInput = true;
    this.held = undefined;
    this.pass();
  }

  /** @internal Node has made a request of what was passed on. */
  begin(request: IncomingMessage, response: ServerResponse): void {
    this.unanswered += 1;
    this.request = request;
    response.on('close', onAnswered);
  }

  /** @internal The next request has a turn of the event loop of its own: others come in between. */
  answered(): void {
    this.unanswered -= 1;
    if (this.unanswered === 0) this.request = undefined;
    if (this.held) this.passSoon();
  }

  /** @internal */
  receive(chunk: Buffer): void {
    if (this.ignoresInput) return;
    this.held = this.held ? Buffer.concat([this.held, chunk]) : chunk;
    this.pass();
  }

  /** @internal Passes on what is held, head by head, until a request has to be answered first. */
  pass(): void {
    this.isDue = false;
    if (this.isDetached) return;
    while (this.held && this.wantsMore) {
      const { held } = this;
      const end = held.indexOf(headEnd) + headEnd.length;
      const isLast = end < headEnd.length || end === held.length;
      this.held = isLast ? undefined : held.subarray(end);
      this.push(isLast ? held : held.subarray(0, end));
    }
    if (!this.held && this.socket.readableEnded) this.push(null);
    else if (this.held || this.readableLength > 0) this.socket.pause();
    else this.socket.resume();
  }

  /** Whether Node has read all that it was given, and waits for more: for a request, or for the rest of one's body. */
  private get wantsMore(): boolean {
    return this.readableLength === 0 && (this.request === undefined || !this.request.complete);
  }

  override _read(): void {
    if (this.isDetached) return;
    // Not at once: what Node is about to be given may be a request.
    if (this.held) this.passSoon();
    else this.socket.resume();
  }

  private passSoon(): void {
    if (this.isDue) return;
    this.isDue = true;
    setImmediate(pass, this);
  }

  override _write(chunk: Buffer | string, encoding: BufferEncoding, callback: () => void): void {
    if (this.isDetached || this.socket.write(chunk, encoding)) callback();
    else this.onRoom = callback;
  }

  override _final(callback: () => void): void {
    if (!this.isDetached) this.socket.end();
    callback();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    if (!this.isDetached) this.socket.destroy(error ?? undefined);
    callback(error);
  }

  /** Ends the socket once all is written, as Node asks for after a response that is a connection's last. */
  destroySoon(): void {
    this.held = undefined;
    if (this.isDetached) this.destroy();
    else this.socket.destroySoon();
  }

  /** @internal */
  forwardDrain(): void {
    const { onRoom } = this;
    this.onRoom = undefined;
    onRoom?.();
  }

  // What Node's HTTP code, the frameworks and their plug-ins ask a socket for. After the socket was taken out it still knows
  // its addresses, for request loggers that write their line then.
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

/** Ends a request's head (RFC 9112 section 2.1). */
const headEnd = '\r\n\r\n';

const proxyOf = new WeakMap<Socket, SocketProxy>();

function onAnswered(this: ServerResponse) {
  (this.req.socket as unknown as SocketProxy).answered();
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
