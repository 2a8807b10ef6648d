import { Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Server as HttpsServer } from 'node:https';
import type { Server, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { isHead, mayRequest, targetOf } from './first-bytes.js';
import type { OpenQueue } from './open-queue.js';
import { pausedServers } from './paused-servers.js';
import { SocketProxy, socketOf } from './socket-proxy.js';
import { standIn } from './stand-in.js';
import { proxyFor } from './tls-socket-proxy.js';
import { Transport } from './transport.js';

type ConnectionListener = (this: Server, connection: unknown) => void;

/** The listener with which Node's HTTP code takes a connection: the same function on each server, with TLS or without. */
const httpListener = new HttpServer().listeners('connection')[0] as ConnectionListener;

/** How long a socket may be silent before Node's HTTP code, with its own time limits, takes charge of it, in milliseconds. */
const silenceMs = 1000;

/** What it costs where feeds are not handed over: the beginning of what is logged then. */
const kept = "Feeds stay in Node's HTTP stack, which takes 10 to 25 KB a connection instead of 3";

/** Tells requests for feeds by their targets. */
interface Targets {
  /** Whether it may be that of a feed; a false match costs its request some time, nothing else. */
  mayBe(target: string): boolean;
  /** Whether it is. */
  is(target: string): boolean;
  /** A feed was opened with this target. */
  learn(target: string): void;
}

/** What the handover has of the module. */
interface HandoverContext {
  readonly targets: Targets;
  readonly queue: OpenQueue;
  /** Counts a request that would wait for too long in the queue, and returns its answer. */
  refuse(): string;
  /** Is told, once a cause, why feeds are not handed over. */
  warn(text: string): void;
}

/**
 * Stands between a server and Node's HTTP code, so that the sockets of feeds can be handed over later: a socket whose first bytes
 * request a feed gets a proxy, every other one goes straight to Node's HTTP code, and gets one if a feed is opened on it. Those that request a
 * feed wait in the queue of openings; where they would wait for too long, they are refused before Node's HTTP code sees them.
 */
export class Handover {
  /** Sockets that have sent nothing yet, by when they were accepted. */
  private readonly silent = new Map<Socket, number>();
  private timer: NodeJS.Timeout | undefined;
  private hasWarned = false;
  private isClosed = false;

  private constructor(
    private readonly server: HttpServer | HttpsServer,
    event: string,
    private readonly context: HandoverContext,
  ) {
    const accept = (socket: Socket) => this.accept(socket);
    // Those of the application stay as they are.
    server.removeListener(event, httpListener);
    server.on(event, accept);
    server.prependListener('request', onRequest);
    server.prependListener('connection', () => context.queue.come());
    context.queue.serve(this);
  }

  /** @returns undefined where a server is not of Node's HTTP/1.1 kind, or where other code has taken the place of Node's */
  static install(server: unknown, context: HandoverContext): Handover | undefined {
    if (!(server instanceof HttpServer || server instanceof HttpsServer)) return undefined;
    const event = server instanceof HttpsServer ? 'secureConnection' : 'connection';
    if (server.listeners(event).includes(httpListener)) return new Handover(server, event, context);
    context.warn(`${kept}: something has removed Node's listener of '${event}' from the server. Start it after FeedModule`);
    return undefined;
  }

  /** Closes the sockets that have sent nothing: a server that closes would wait for them. What queues is refused, and nothing does from now on. */
  close(): void {
    this.isClosed = true;
    clearTimeout(this.timer);
    this.timer = undefined;
    for (const socket of this.silent.keys()) socket.destroy();
    this.silent.clear();
    this.context.queue.close();
  }

  /** Whether the server was closed, and not only paused. */
  private get isOver(): boolean {
    return !this.server.listening && (this.isClosed || !pausedServers.has(this.server));
  }

  private accept(socket: Socket): void {
    if (socket.destroyed) return; // it was turned away
    if (this.isOver) {
      socket.destroy(); // its TLS handshake ended after the server was closed
      return;
    }
    this.silent.set(socket, performance.now());
    handovers.set(socket, this);
    socket.on('data', onFirstBytes).on('end', onSilentEnd).on('error', onSilentError).on('close', onClose);
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
      if (this.isOver) socket.destroy();
      else httpListener.call(this.server, proxyFor(socket));
    }
  }

  /** @internal */
  receive(socket: Socket, bytes: Buffer): void {
    const { targets, queue } = this.context;
    if (!mayRequest(targets, bytes)) this.begin(socket, bytes);
    else if (this.isClosed || !isHead(bytes) || !targets.is(targetOf(bytes) ?? '')) this.beginBehind(proxyFor(socket), bytes);
    else if (queue.isFull) this.refuse(socket);
    else this.enqueue(socket, bytes);
  }

  /** @internal Its turn has come. */
  open(socket: Socket, bytes: Buffer): void {
    this.beginBehind(withTurn(socket), bytes);
  }

  /** Gives a socket to Node's HTTP code. */
  private begin(socket: Socket, bytes: Buffer): void {
    this.stopListening(socket);
    socket.pause();
    socket.unshift(bytes);
    httpListener.call(this.server, socket);
    socket.resume();
  }

  /** Gives Node's HTTP code the proxy of a socket. */
  private beginBehind(proxy: SocketProxy, bytes: Buffer): void {
    this.stopListening(proxy.socket);
    httpListener.call(this.server, proxy);
    proxy.receive(bytes);
  }

  private enqueue(socket: Socket, bytes: Buffer): void {
    this.silent.delete(socket);
    socket.off('data', onFirstBytes);
    socket.pause(); // a client that leaves meanwhile is noticed all the same
    this.context.queue.add(socket, bytes);
  }

  /** @internal Answers for a part of what it costs to open a feed. */
  refuse(socket: Socket): void {
    this.silent.delete(socket);
    socket.off('data', onFirstBytes).off('end', onSilentEnd);
    socket.end(this.context.refuse(), 'latin1');
    // What is written to a socket without TLS is on its way at once.
    if (socket instanceof TLSSocket) socket.destroySoon();
    else socket.destroy();
  }

  /** @internal */
  closed(socket: Socket): void {
    this.silent.delete(socket);
    this.context.queue.delete(socket);
  }

  /** @internal A feed was opened with this target, and its socket handed over. */
  handedOver(target: string): void {
    this.context.targets.learn(target);
  }

  /** @internal Middleware is in the way. */
  warnOfMiddleware(): void {
    if (this.hasWarned) return;
    this.hasWarned = true;
    this.context.warn(
      `${kept}: middleware has replaced write() or end() of their responses, and may change what is written. ` +
        'Leave Cache-Control to FeedModule, or have it say no-transform, and set no Content-Encoding. This is logged once',
    );
  }

  /** The listener of 'close' stays: those that follow it are of Node's HTTP code, or of those that got the socket from there. */
  private stopListening(socket: Socket): void {
    this.silent.delete(socket);
    socket.off('data', onFirstBytes).off('end', onSilentEnd).off('error', onSilentError);
  }
}

/** A proxy for a socket whose request is opened in its turn. */
function withTurn(socket: Socket): SocketProxy {
  const proxy = proxyFor(socket);
  proxy.hasTurn = true;
  return proxy;
}

/** The handovers of the servers that accepted these sockets, until they are handed over. */
const handovers = new WeakMap<Socket, Handover>();

function onFirstBytes(this: Socket, bytes: Buffer) {
  handovers.get(this)?.receive(this, bytes);
}
function onSilentEnd(this: Socket) {
  this.destroy();
}
function onSilentError() {}
function onClose(this: Socket) {
  handovers.get(this)?.closed(this);
}

function onRequest(request: IncomingMessage, response: ServerResponse) {
  const connection: unknown = request.socket;
  if (connection instanceof SocketProxy) connection.begin(request, response);
}

/**
 * Sends the head of a response and takes its socket out of Node's HTTP stack. Node then sees a finished response and a closed
 * connection, and frees all that it kept for them.
 *
 * The socket is corked, so that the head and what follows it at once make one system call: uncork the transport.
 *
 * @param isAlone whether no other request on this socket waits for an answer
 * @param isCompressed whether its `Content-Encoding` is our own
 * @returns undefined where that cannot be: other code may want to change what is written, or the socket is not one that the handover
 * has accepted. The head may have been sent
 */
export function handOver(
  request: IncomingMessage,
  response: ServerResponse,
  isAlone: boolean,
  isCompressed: boolean,
): Transport | undefined {
  const socket = socketOf(request);
  const handover = handovers.get(socket);
  // Another response may be in front of this one on the same connection.
  if (!handover || response.socket !== request.socket) return undefined;
  const connection: unknown = request.socket;
  const given = connection instanceof SocketProxy ? connection : undefined;
  if (given ? given.isBacklogged : !isAlone) return undefined;

  socket.cork();
  response.flushHeaders();
  if (mayBeChanged(response, isCompressed)) {
    socket.uncork();
    handover.warnOfMiddleware();
    return undefined;
  }
  const proxy = given ?? standIn(socket, response, onClose);
  proxy.detach();
  handovers.delete(socket);
  socket.off('close', onClose);
  if (!given?.hasTurn) handover.handedOver(request.url ?? ''); // that of one which had to wait is known
  response.end();
  socket.on('data', ignore).on('end', onLeft);
  if (socket.readableEnded) socket.destroy();
  else socket.resume();
  return new Transport(socket, request.httpVersionMinor >= 1); // HTTP/1.0 knows no chunks
}

/**
 * Whether Node's HTTP code reads the socket itself, and may be in the middle of a packet: at the body of a request it runs what waits to be
 * run, and then goes on with what is behind. Its parser must not be taken from it before the next turn of the event loop.
 */
export function isReadByNode({ socket }: IncomingMessage): boolean {
  return handovers.has(socket);
}

/**
 * Whether a middleware may change what is written. It has replaced one of Node's methods then, and either changes this response, which
 * its head says where that is encoded, or was not told to leave it (RFC 9111 section 5.2.2.6).
 */
function mayBeChanged(response: ServerResponse, isCompressed: boolean): boolean {
  if (!Object.hasOwn(response, 'write') && !Object.hasOwn(response, 'end')) return false;
  return response.hasHeader('Content-Encoding') !== isCompressed || !noTransform.test(`${response.getHeader('Cache-Control')}`);
}

const noTransform = /(^|[\s,])no-transform($|[\s,])/i;

// What a client sends after its request is thrown away; when it says that it sends no more, it has left.
function ignore() {}
function onLeft(this: Socket) {
  this.destroy();
}
