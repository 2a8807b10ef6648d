import { Server as HttpServer } from 'node:http';
import type { Http2Session } from 'node:http2';
import { Server as HttpsServer } from 'node:https';
import type { Server, Socket } from 'node:net';
import { type TLSSocket, Server as TlsServer } from 'node:tls';

/** A socket whose TLS handshake is not complete. */
interface Handshake {
  readonly socket: Socket;
  readonly remove: () => void;
}

/**
 * Ends what a server's `close()` waits for although no feed is open: incomplete requests, HTTP/2 sessions, and TLS handshakes, which
 * Node's own timeout ends only after 120 s.
 */
export class ServerCloser {
  private readonly sessions = new Set<Http2Session>();
  /** By the peer's address and port: the only thing that a socket and the TLS socket on it have in common. */
  private readonly handshakes = new Map<string, Handshake>();

  constructor(private readonly server: Server) {
    server.on('session', (session: Http2Session) => {
      this.sessions.add(session);
      session.once('close', () => this.sessions.delete(session));
    });
    if (!(server instanceof TlsServer)) return;
    server.on('connection', (socket: Socket) => this.begin(socket));
    server.on('secureConnection', (socket: TLSSocket) => this.handshakes.get(peerOf(socket))?.remove());
  }

  /** Ends HTTP/2 sessions once their streams have ended (GOAWAY, RFC 9113 section 6.8). */
  close(): void {
    for (const session of this.sessions) session.close();
  }

  /** Ends all of them at once. */
  destroy(): void {
    const { server } = this;
    if (server instanceof HttpServer || server instanceof HttpsServer) server.closeAllConnections();
    for (const { socket } of this.handshakes.values()) socket.destroy();
    for (const session of this.sessions) session.destroy();
  }

  private begin(socket: Socket): void {
    const peer = peerOf(socket);
    const remove = () => {
      this.handshakes.delete(peer);
      socket.off('close', remove);
    };
    this.handshakes.set(peer, { socket, remove });
    socket.on('close', remove);
  }
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
