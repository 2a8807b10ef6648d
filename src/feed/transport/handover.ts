import { Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Server as HttpsServer } from 'node:https';
import type { Server, Socket } from 'node:net';
import { SocketProxy } from './socket-proxy.js';
import { proxyFor } from './tls-socket-proxy.js';
import { Transport } from './transport.js';

type ConnectionListener = (this: Server, connection: unknown) => void;

/** The listener with which Node's HTTP code takes a connection: the same function on each server, with TLS or without. */
const httpListener = new HttpServer().listeners('connection')[0] as ConnectionListener;

/** How long a socket may be silent before Node's HTTP code, with its own time limits, takes charge of it, in milliseconds. */
const silenceMs = 1000;

/**
 * Stands between a server and Node's HTTP code, so that the sockets of feeds can be handed over later: a socket whose first bytes
 * request a feed gets a proxy, every other one goes straight to Node's HTTP code.
 */
export class Handover {
  /** Sockets that have sent nothing yet, by when they were accepted. */
  private readonly silent = new Map<Socket, number>();
  private timer: NodeJS.Timeout | undefined;

  private constructor(
    private readonly server: HttpServer | HttpsServer,
    private readonly isFeed: (target: string) => boolean,
  ) {
    const event = server instanceof HttpsServer ? 'secureConnection' : 'connection';
    const accept = (socket: Socket) => this.accept(socket);
    // Those of the application stay as they are.
    server.removeListener(event, httpListener);
    server.on(event, accept);
    server.prependListener('request', onRequest);
  }

  /**
   * @param isFeed whether a request target may be that of a feed; a false match costs its request some time, nothing else
   * @returns undefined where a server is not of Node's HTTP/1.1 kind
   */
  static install(server: unknown, isFeed: (target: string) => boolean): Handover | undefined {
    if (!(server instanceof HttpServer || server instanceof HttpsServer)) return undefined;
    return new Handover(server, isFeed);
  }

  /** Closes the sockets that have sent nothing: a server that closes would wait for them. */
  close(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    for (const socket of this.silent.keys()) socket.destroy();
    this.silent.clear();
  }

  private accept(socket: Socket): void {
    if (socket.destroyed) return; // it was turned away
    if (!this.server.listening) {
      socket.destroy(); // its TLS handshake ended after the server was closed
      return;
    }
    this.silent.set(socket, performance.now());
    handovers.set(socket, this);
    socket.on('data', onFirstBytes).on('end', onSilentEnd).on('error', onSilentError).on('close', onSilentClose);
    this.timer ??= setTimeout(() => this.sweep(), silenceMs).unref();
  }

  /** Gives Node the sockets that have been silent for long, each with a proxy: it may still become a feed. */
  private sweep(): void {
    this.timer = undefined;
    const now = performance.now();
    for (const [socket, since] of this.silent) {
      if (now - since < silenceMs) {
        this.timer = setTimeout(() => this.sweep(), silenceMs - (now - since)).unref();
        return;
      }
      this.stopListening(socket);
      if (this.server.listening) httpListener.call(this.server, proxyFor(socket));
      else socket.destroy();
    }
  }

  /** @internal */
  begin(socket: Socket, bytes: Buffer): void {
    this.stopListening(socket);
    const connection = this.mayBeFeed(bytes) ? proxyFor(socket) : socket;
    socket.pause();
    socket.unshift(bytes);
    httpListener.call(this.server, connection);
    socket.resume();
  }

  /** @internal */
  stopListening(socket: Socket): void {
    this.silent.delete(socket);
    handovers.delete(socket);
    socket.off('data', onFirstBytes).off('end', onSilentEnd).off('error', onSilentError).off('close', onSilentClose);
  }

  /** Whether these first bytes are, or may become, a request for a feed. */
  private mayBeFeed(bytes: Buffer): boolean {
    for (let n = 0; n < get.length && n < bytes.length; n += 1) if (bytes[n] !== get[n]) return false;
    const end = bytes.indexOf(0x20, get.length);
    // Without an end the target goes on in the next packet.
    return end < 0 || this.isFeed(bytes.toString('latin1', get.length, end));
  }
}

const get = Buffer.from('GET ');

const handovers = new WeakMap<Socket, Handover>();

function onFirstBytes(this: Socket, bytes: Buffer) {
  handovers.get(this)?.begin(this, bytes);
}
function onSilentEnd(this: Socket) {
  this.destroy();
}
function onSilentError() {}
function onSilentClose(this: Socket) {
  handovers.get(this)?.stopListening(this);
}

function onRequest(request: IncomingMessage, response: ServerResponse) {
  const connection: unknown = request.socket;
  if (connection instanceof SocketProxy) connection.begin(request, response);
}

/**
 * Sends the head of a response and takes its socket out of Node's HTTP stack. Node then sees a finished response and a closed
 * connection, and frees all that it kept for them.
 *
 * @returns undefined, and nothing is sent, where that cannot be: the socket has no proxy, or other code wants to see or change what
 * is written
 */
export function handOver(request: IncomingMessage, response: ServerResponse): Transport | undefined {
  const proxy: unknown = request.socket;
  if (!(proxy instanceof SocketProxy)) return undefined;
  // A middleware, such as one that compresses, has replaced Node's method.
  if (Object.hasOwn(response, 'write') || Object.hasOwn(response, 'end')) return undefined;
  // This response waits for its turn behind an earlier one on the same connection.
  if (response.socket !== (proxy as unknown as Socket) || proxy.isBacklogged) return undefined;

  response.flushHeaders();
  const socket = proxy.detach();
  response.end();
  socket.on('data', ignore).on('end', onLeft);
  if (socket.readableEnded) socket.destroy();
  else socket.resume();
  return new Transport(socket, request.httpVersionMinor >= 1); // HTTP/1.0 knows no chunks
}

// What a client sends after its request is thrown away; when it says that it sends no more, it has left.
function ignore() {}
function onLeft(this: Socket) {
  this.destroy();
}
