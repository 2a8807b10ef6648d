import { Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Server as HttpsServer } from 'node:https';
import type { Server, Socket } from 'node:net';
import type { Outlet } from '../connection/connection.js';
import { IdleSockets } from './idle-sockets.js';
import { isChunked } from './plain-response.js';
import { SocketProxy } from './socket-proxy.js';
import { proxyFor } from './tls-socket-proxy.js';

type ConnectionListener = (this: Server, connection: unknown) => void;

/** How long a connection may be silent before Node's HTTP code, with its own time limits, takes charge of it, in milliseconds. */
const silenceMs = 1000;

/**
 * Puts itself between a server and Node's HTTP code, so that the connections of feeds can later be handed over: a connection
 * that begins with a request for a feed gets a stand-in, every other one goes straight to Node's HTTP code.
 */
export class Handover {
  private readonly listener: ConnectionListener;
  /** Connections that have not said anything yet, by when they were accepted. */
  private readonly silent = new Map<Socket, number>();
  private timer: NodeJS.Timeout | undefined;

  private constructor(
    private readonly server: HttpServer | HttpsServer,
    private readonly isFeed: (path: string) => boolean,
    private readonly unasked: IdleSockets,
  ) {
    const event = server instanceof HttpsServer ? 'secureConnection' : 'connection';
    // Node's own listener is the one that the server's constructor added; others, of the application, stay as they are.
    this.listener = server.listeners(event)[0] as ConnectionListener;
    const accept = (socket: Socket) => this.accept(socket);
    server.removeListener(event, this.listener);
    server.prependListener(event, accept);
    server.prependListener('request', onRequest);
  }

  /**
   * @param isFeed whether a path, without its query, may be that of a feed; one that is not costs its request some time only
   * @param mostUnasked how many connections there may be, at this moment, on which nobody has asked for anything yet
   * @returns undefined where a server is not of Node's HTTP/1.1 kind
   */
  static install(server: unknown, isFeed: (path: string) => boolean, mostUnasked: () => number): Handover | undefined {
    if (!(server instanceof HttpServer || server instanceof HttpsServer)) return undefined;
    return new Handover(server, isFeed, new IdleSockets(mostUnasked));
  }

  /** Lets go of connections that have not said anything: a server that closes waits for them otherwise. */
  close(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    for (const socket of this.silent.keys()) socket.destroy();
    this.silent.clear();
  }

  private accept(socket: Socket): void {
    if (!this.server.listening) {
      socket.destroy(); // its TLS handshake ended after the server was closed
      return;
    }
    this.silent.set(socket, performance.now());
    waiting.set(socket, this);
    socket.on('data', onFirstBytes).on('end', onSilentEnd).on('error', onSilentError).on('close', onSilentClose);
    this.timer ??= setTimeout(() => this.sweep(), silenceMs).unref();
    this.unasked.add(socket);
  }

  /** Gives Node what has been silent for long, as something that may still become a feed. */
  private sweep(): void {
    this.timer = undefined;
    const now = performance.now();
    for (const [socket, since] of this.silent) {
      if (now - since < silenceMs) {
        this.timer = setTimeout(() => this.sweep(), silenceMs - (now - since)).unref();
        return;
      }
      this.forget(socket);
      if (this.server.listening) this.listener.call(this.server, proxyFor(socket));
      else socket.destroy();
    }
  }

  /** @internal */
  begin(socket: Socket, bytes: Buffer): void {
    this.forget(socket);
    const connection = this.mayBeFeed(bytes) ? proxyFor(socket) : socket;
    socket.pause();
    socket.unshift(bytes);
    this.listener.call(this.server, connection);
    socket.resume();
  }

  /** @internal */
  forget(socket: Socket): void {
    this.silent.delete(socket);
    waiting.delete(socket);
    socket.off('data', onFirstBytes).off('end', onSilentEnd).off('error', onSilentError).off('close', onSilentClose);
  }

  /** Whether a connection that begins with these bytes is, or may turn out to be, one for a feed. */
  private mayBeFeed(bytes: Buffer): boolean {
    for (let n = 0; n < get.length && n < bytes.length; n += 1) if (bytes[n] !== get[n]) return false;
    const end = bytes.indexOf(0x20, get.length);
    if (end < 0) return true; // the target goes on in the next packet
    const target = bytes.toString('latin1', get.length, end);
    const query = target.indexOf('?');
    return this.isFeed(query < 0 ? target : target.slice(0, query));
  }
}

const get = Buffer.from('GET ');

const waiting = new WeakMap<Socket, Handover>();

function onFirstBytes(this: Socket, bytes: Buffer) {
  waiting.get(this)?.begin(this, bytes);
}
function onSilentEnd(this: Socket) {
  this.destroy();
}
function onSilentError() {}
function onSilentClose(this: Socket) {
  waiting.get(this)?.forget(this);
}

function onRequest(request: IncomingMessage, response: ServerResponse) {
  const socket: Socket | SocketProxy = request.socket;
  if (socket instanceof SocketProxy) socket.begin(request, response);
  IdleSockets.asked(socket instanceof SocketProxy ? socket.socket : socket);
}

/**
 * Sends a response's head and takes its socket out of the HTTP stack. Node then sees a response that is finished and a
 * connection that is gone, and frees all that it kept for them.
 *
 * @returns undefined, and nothing is sent, where that cannot be: the connection has no stand-in, or somebody else wants to see or
 * change what is written
 */
export function handOver(request: IncomingMessage, response: ServerResponse): Outlet | undefined {
  const proxy: unknown = request.socket;
  if (!(proxy instanceof SocketProxy)) return undefined;
  // A middleware, such as one that compresses, has put its own method in the place of Node's.
  if (Object.hasOwn(response, 'write') || Object.hasOwn(response, 'end')) return undefined;
  // This response waits for its turn behind an earlier one on the same connection.
  if (response.socket !== (proxy as unknown as Socket) || proxy.isBacklogged) return undefined;

  response.flushHeaders();
  const socket = proxy.detach();
  response.end();
  socket.on('data', ignore).on('end', onLeft);
  if (socket.readableEnded) socket.destroy();
  else socket.resume();
  return { stream: socket, chunked: isChunked(request) };
}

// What a client sends after its request is thrown away; when it says that it will send no more, it has left.
function ignore() {}
function onLeft(this: Socket) {
  this.destroy();
}
