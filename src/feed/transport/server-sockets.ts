import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2Session } from 'node:http2';
import type { Server, Socket } from 'node:net';
import { TLSSocket, Server as TlsServer } from 'node:tls';
import { retryAfter } from '../errors/feed-exception.js';
import { socketOf } from './socket-proxy.js';
import { unavailableResponse } from './unavailable-response.js';

/** How long a socket may be idle, however many there are, in milliseconds. */
const idleMs = 2000;

/** The longest that a socket that was turned away may take to read that, in milliseconds. */
const leaveMs = 1000;

/** How often both are looked at, while there are too many, in milliseconds. */
const sweepMs = 100;

/** What a socket hears that is turned away. */
const turnedAway = unavailableResponse(retryAfter, 'text/plain', `Too many connections. Retry in ${retryAfter} seconds.\n`);

/** How many sockets a server may have. */
export interface SocketBound {
  /** Above it, with feeds, idle ones are turned away. */
  readonly total: number;
  /** As many more may stay until one has been idle for long enough. */
  readonly spare: number;
  /** As many more may be reading that they were turned away. */
  readonly leaving: number;
}

/** A socket from its acceptance until it is closed, or carries a feed. */
interface ServerSocket {
  readonly owner: ServerSockets;
  /** What speaks HTTP: the socket that was accepted, or the TLS socket on it. */
  socket: Socket;
  /** Requests that are not answered yet. */
  asking: number;
  /** When it was accepted, or its last request was answered. */
  idleSince: number;
  /** The HTTP/2 session on it. */
  session?: Http2Session;
  /** The address and port of its peer, while its TLS handshake is not complete. */
  peer?: string | undefined;
}

const known = Symbol('ServerSocket');

interface Known {
  [known]?: ServerSocket | undefined;
}

/**
 * The sockets of a server that carry no feed, from their acceptance on. Each is *idle*, or *asking*: it has sent a request that is not
 * answered yet. They share the descriptors that feeds leave. Where half of those are in use, answers close their connections. Where all
 * are, the socket that has been idle for the longest is turned away with 503, if that is two seconds; if there is none, the newest is.
 */
export class ServerSockets {
  /** In the order in which they became idle. */
  private readonly idle = new Set<ServerSocket>();
  private readonly asking = new Set<ServerSocket>();
  /** Those that were turned away or dismissed, and when. */
  private readonly leaving = new Map<Socket, number>();
  /** Those whose TLS handshake is not complete, by their peer: all that a socket and the TLS socket on it have in common. */
  private readonly handshakes = new Map<string, ServerSocket>();
  private timer: NodeJS.Timeout | undefined;
  /** Whether the server takes no more requests. */
  private isOver = false;

  constructor(
    private readonly server: Server,
    private readonly bound: SocketBound,
    /** How many feeds there are. */
    private readonly feeds: () => number,
  ) {
    server.prependListener('connection', (socket: Socket) => this.accept(socket));
    server.prependListener('request', onRequest);
    server.on('session', onSession);
    if (server instanceof TlsServer) server.prependListener('secureConnection', (socket: TLSSocket) => this.secure(socket));
    watchUpgrades(server);
  }

  /**
   * The socket carries a feed from now on: other limits bound those.
   *
   * @returns whether no other request on it waits for an answer
   */
  static release(request: IncomingMessage): boolean {
    const socket = socketOf(request);
    const entry = (socket as Known)[known];
    if (!entry) return false;
    (socket as Known)[known] = undefined;
    socket.off('close', onClose);
    entry.owner.delete(entry);
    return entry.asking === 1;
  }

  /**
   * Ends HTTP/2 sessions, those that are asking once their streams have ended. Both send GOAWAY (RFC 9113 section 6.8). Node 24 can wait
   * for ever in the `close()` of an idle session that had a stream reset by its client.
   */
  close(): void {
    for (const { session } of this.idle) session?.destroy();
    for (const { session } of this.asking) session?.close();
  }

  /**
   * Closes idle sockets, each of the others behind its last answer, and turns away those that come from now on: a server's `close()` would
   * wait for incomplete requests, for sockets without one, and for TLS handshakes up to 120 s.
   */
  shutDown(): void {
    this.isOver = true;
    for (const { socket } of this.idle) socket.destroy();
    for (const socket of this.leaving.keys()) socket.destroy();
  }

  /** @internal */
  ask(entry: ServerSocket): void {
    entry.asking += 1;
    if (this.idle.delete(entry)) this.asking.add(entry);
  }

  /** @internal */
  answer(entry: ServerSocket): void {
    entry.asking -= 1;
    if (entry.asking > 0 || !this.asking.delete(entry)) return;
    if (this.isOver) {
      this.dismiss(entry);
      return;
    }
    entry.idleSince = performance.now();
    this.idle.add(entry);
  }

  /** @internal */
  delete(entry: ServerSocket): void {
    this.idle.delete(entry);
    this.asking.delete(entry);
    if (entry.peer !== undefined) this.handshakes.delete(entry.peer);
  }

  /** Whether answers should close their connections: half of the room is for those that have not asked yet. */
  get isCrowded(): boolean {
    return this.size > this.most / 2;
  }

  /** As many sockets as feeds leave. */
  private get most(): number {
    return Math.max(0, this.bound.total - this.feeds());
  }

  private get size(): number {
    return this.idle.size + this.asking.size;
  }

  private accept(socket: Socket): void {
    const { most } = this;
    while (this.size >= most && this.turnOldestAway());
    if (this.isOver || this.size >= most + this.bound.spare) {
      if (!(this.server instanceof TlsServer)) socket.end(turnedAway);
      // At once: its descriptor may be the last. What was written is on its way.
      socket.destroy();
      return;
    }
    const entry: ServerSocket = { owner: this, socket, asking: 0, idleSince: performance.now() };
    this.idle.add(entry);
    watch(socket, entry);
    if (this.server instanceof TlsServer) {
      entry.peer = peerOf(socket);
      this.handshakes.set(entry.peer, entry);
    }
    if (this.size > most) this.sweepLater();
  }

  /** The TLS handshake is complete. */
  private secure(socket: TLSSocket): void {
    const peer = peerOf(socket);
    const entry = this.handshakes.get(peer);
    if (!entry) return;
    this.handshakes.delete(peer);
    entry.peer = undefined;
    entry.socket = socket;
    watch(socket, entry);
  }

  /** @returns whether there was one that has been idle for long enough */
  private turnOldestAway(): boolean {
    const [oldest] = this.idle;
    if (!oldest || performance.now() - oldest.idleSince < idleMs) return false;
    this.delete(oldest);
    this.turnAway(oldest);
    return true;
  }

  /** Tells an idle client to leave, and closes its socket once it has read that, or cannot be waited for. */
  private turnAway({ socket, session }: ServerSocket): void {
    if (session) {
      session.destroy();
      return;
    }
    const isSecret = this.server instanceof TlsServer && !(socket instanceof TLSSocket);
    if (isSecret || this.leaving.size >= this.bound.leaving) {
      if (!isSecret) socket.end(turnedAway);
      socket.destroy();
      return;
    }
    // A request that is on its way is not served any more. Node's HTTP code reads what the listeners of 'data' are given.
    socket.removeAllListeners('data');
    socket.on('data', ignore).on('end', onEnd).on('error', ignore);
    socket.end(turnedAway);
    this.leaving.set(socket, performance.now());
    this.sweepLater();
  }

  /** Closes a socket behind its last answer, once its client has closed it as well, or cannot be waited for. */
  private dismiss({ socket, session }: ServerSocket): void {
    if (session) {
      session.close();
      return;
    }
    socket.end();
    this.leaving.set(socket, performance.now());
    this.sweepLater();
  }

  private sweepLater(): void {
    this.timer ??= setTimeout(() => this.sweep(), sweepMs).unref();
  }

  private sweep(): void {
    this.timer = undefined;
    const { most } = this;
    while (this.size > most && this.turnOldestAway());
    const now = performance.now();
    for (const [socket, since] of this.leaving) {
      if (now - since >= leaveMs) socket.destroy();
      if (socket.destroyed) this.leaving.delete(socket);
    }
    if (this.size > most || this.leaving.size > 0) this.sweepLater();
  }
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

function watch(socket: Known & Socket, entry: ServerSocket): void {
  socket[known] = entry;
  socket.on('close', onClose);
}

// Shared by all sockets and requests, so that one costs no closure.
function ignore() {}
function onEnd(this: Socket) {
  this.destroy();
}
function onClose(this: Known & Socket) {
  this[known]?.owner.delete(this[known]);
}
function onRequest(request: IncomingMessage, response: ServerResponse) {
  const entry = (socketOf(request) as Known)[known];
  if (!entry) return;
  entry.owner.ask(entry);
  if (request.httpVersionMajor === 1 && entry.owner.isCrowded) response.setHeader('Connection', 'close');
  (response as Known)[known] = entry; // an HTTP/2 request has no socket any more once it is closed
  response.on('close', onAnswered);
}
function onAnswered(this: Known & ServerResponse) {
  this[known]?.owner.answer(this[known]);
}
function onSession(session: Http2Session) {
  const entry = (session.socket as Known)[known];
  if (entry) entry.session = session;
}

/**
 * Has a socket that was upgraded, to a WebSocket for example, count as asking for as long as it is open. Node treats such requests as
 * ordinary ones where nothing listens: there must be no listener of ours unless there is one of the application's.
 */
function watchUpgrades(server: Server): void {
  const isUpgrade = (event: string | symbol) => event === 'upgrade' || event === 'connect';
  for (const event of ['upgrade', 'connect']) if (server.listenerCount(event) > 0) server.on(event, onUpgrade);
  server.on('newListener', (event, listener) => {
    if (isUpgrade(event) && listener !== onUpgrade && server.listenerCount(event) === 0) server.on(event, onUpgrade);
  });
  server.on('removeListener', (event, listener) => {
    if (isUpgrade(event) && listener !== onUpgrade && server.listenerCount(event) === 1) server.off(event, onUpgrade);
  });
}
function onUpgrade(request: IncomingMessage) {
  const entry = (socketOf(request) as Known)[known];
  entry?.owner.ask(entry);
}
