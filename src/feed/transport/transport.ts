import type { ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { TLSSocket } from 'node:tls';

/** Gets the events of a transport. */
export interface TransportListener {
  /** Nothing waits in this process any more. */
  onDrain(): void;
  /** The transport is closed: it was ended here, or the client left. */
  onClose(): void;
}

const listenerOf = Symbol('listener');

interface Listened extends Writable {
  [listenerOf]?: TransportListener;
}

// Shared by all transports, so that one costs no closure.
function onClose(this: Listened) {
  this[listenerOf]?.onClose();
}
function onDrain(this: Listened) {
  this[listenerOf]?.onDrain();
}
function onFinish(this: Listened) {
  this.destroy();
}
function ignore() {}

/** How many times its limit one turn of the event loop may bring, where bytes do not leave before its end. */
const longestBurst = 16;

/** Counts only the turns of the event loop in which, and after which, it is asked. */
let turns = 0;
let isCountingTurns = false;

function turn(): number {
  if (!isCountingTurns) {
    isCountingTurns = true;
    setImmediate(() => {
      isCountingTurns = false;
      turns += 1;
    }).unref();
  }
  return turns;
}

/** What ends a chunked body (RFC 9112 section 7.1). */
const lastChunk = '0\r\n\r\n';

/** Where the bytes of a connection go once its head is sent: the socket that was handed over, or a response that stays in Node's HTTP stack. */
export class Transport {
  /** The turn of the event loop in which more than the limit came to wait; -1 where less does. */
  private overTurn = -1;
  /** The checksum and the length of what was sent before it was compressed, for a coding that ends with them (RFC 1952): 32 bits each. */
  checksum = 0;
  size = 0;

  /** @param isChunked whether the writer frames its chunks itself (RFC 9112 section 7.1), because Node's HTTP code is out of the way */
  constructor(
    protected readonly stream: Writable,
    readonly isChunked: boolean,
  ) {}

  /** Has one listener told of what happens from now on. */
  listen(listener: TransportListener): void {
    const stream: Listened = this.stream;
    stream[listenerOf] = listener;
    stream.on('close', onClose).on('error', ignore).on('drain', onDrain);
  }

  /** Bytes that wait for the client in this process. */
  get waitingBytes(): number {
    return this.stream.writableLength;
  }

  /** Whether a writer that can wait should. */
  get isFull(): boolean {
    return this.stream.writableLength >= this.stream.writableHighWaterMark;
  }

  /** Whether the socket was taken out of Node's HTTP stack. */
  get isHandedOver(): boolean {
    return this.stream instanceof Socket;
  }

  /**
   * Whether the client keeps more bytes waiting than it may. A TCP socket passes to the kernel at once what that takes. Elsewhere (TLS,
   * HTTP/2, a response that was not handed over) bytes leave at the end of a turn of the event loop: there a burst in one turn may be
   * longer, and only what still waits in a later turn counts.
   *
   * @param waiting how many bytes wait. Default: those in the transport
   */
  exceeds(limitBytes: number, waiting = this.stream.writableLength): boolean {
    const { stream } = this;
    if (waiting <= limitBytes) {
      this.overTurn = -1;
      return false;
    }
    if ((stream instanceof Socket && !(stream instanceof TLSSocket)) || waiting > limitBytes * longestBurst) return true;
    if (this.overTurn < 0) this.overTurn = turn();
    return this.overTurn !== turn();
  }

  /** Nothing waits any more: a burst that comes now is another one. */
  beginBurst(): void {
    this.overTurn = -1;
  }

  /** Bytes that have left for the client, HTTP's framing included; where that is not known, a number that changes with it. */
  get sentBytes(): number {
    const socket = this.stream instanceof Socket ? this.stream : (this.stream as Partial<ServerResponse>).socket;
    return (socket?.bytesWritten ?? 0) - this.stream.writableLength;
  }

  /** @returns whether the writer may go on without waiting for `onDrain()` */
  write(frame: string | Buffer, encoding: BufferEncoding = 'latin1'): boolean {
    return this.stream.write(frame, encoding);
  }

  /** Collects what is written from now on, so that many small frames make one system call. */
  cork(): void {
    if (this.isHandedOver) this.stream.cork();
  }

  uncork(): void {
    if (this.isHandedOver) this.stream.uncork();
  }

  /**
   * Ends the response once everything is written.
   *
   * @param isComplete whether in good order; otherwise the client sees an incomplete body
   */
  end(isComplete: boolean): void {
    this.stream.on('finish', onFinish);
    if (this.isChunked && isComplete) this.stream.end(lastChunk);
    else this.stream.end();
  }

  /** Cuts the connection, whatever waits. */
  destroy(): void {
    this.stream.destroy();
  }
}
