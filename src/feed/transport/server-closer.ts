import { Server as HttpServer } from 'node:http';
import type { Http2Session } from 'node:http2';
import { Server as HttpsServer } from 'node:https';
import type { Server, Socket } from 'node:net';
import { type TLSSocket, Server as TlsServer } from 'node:tls';

/** A connection whose TLS handshake goes on. */
interface Handshake {
  readonly socket: Socket;
  readonly forget: () => void;
}

/**
 * What a server's `close()` waits for although no response is open on it: requests that have not come to their end, HTTP/2 sessions, and TLS
 * handshakes, which nobody but Node's own timeout of 120 s ends.
 */
export class ServerCloser {
  private readonly sessions = new Set<Http2Session>();
  /** By the peer's address and port, the only thing in which a socket and the TLS socket on it agree. */
  private readonly handshakes = new Map<string, Handshake>();

  constructor(private readonly server: Server) {
    server.on('session', (session: Http2Session) => {
      this.sessions.add(session);
      session.once('close', () => this.sessions.delete(session));
    });
    if (!(server instanceof TlsServer)) return;
    server.on('connection', (socket: Socket) => this.begin(socket));
    server.on('secureConnection', (socket: TLSSocket) => this.handshakes.get(peerOf(socket))?.forget());
  }

  /** Lets no session begin anything more: each ends with what is open on it (GOAWAY, RFC 9113 section 6.8). */
  close(): void {
    for (const session of this.sessions) session.close();
  }

  destroy(): void {
    const { server } = this;
    if (server instanceof HttpServer || server instanceof HttpsServer) server.closeAllConnections();
    for (const { socket } of this.handshakes.values()) socket.destroy();
    for (const session of this.sessions) session.destroy();
  }

  private begin(socket: Socket): void {
    const peer = peerOf(socket);
    const forget = () => {
      this.handshakes.delete(peer);
      socket.off('close', forget);
    };
    this.handshakes.set(peer, { socket, forget });
    socket.on('close', forget);
  }
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
