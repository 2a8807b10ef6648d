import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { SocketProxy } from './socket-proxy.js';

/** A proxy for a socket, with TLS or without. */
export function proxyFor(socket: Socket): SocketProxy {
  return socket instanceof TLSSocket ? new TlsSocketProxy(socket) : new SocketProxy(socket);
}

/** A proxy with the members that only a TLS socket has: frameworks tell TLS by their presence. */
class TlsSocketProxy extends SocketProxy {
  constructor(private readonly secure: TLSSocket) {
    super(secure);
  }

  get encrypted() {
    return this.secure.encrypted;
  }
  get authorized() {
    return this.secure.authorized;
  }
  get authorizationError() {
    return this.secure.authorizationError;
  }
  get alpnProtocol() {
    return this.secure.alpnProtocol;
  }
  get servername() {
    return (this.secure as TLSSocket & { servername?: string }).servername;
  }
  getPeerCertificate(detailed?: boolean) {
    return this.secure.getPeerCertificate(detailed as true);
  }
  getPeerX509Certificate() {
    return this.secure.getPeerX509Certificate();
  }
  getCipher() {
    return this.secure.getCipher();
  }
  getProtocol() {
    return this.secure.getProtocol();
  }
  getSession() {
    return this.secure.getSession();
  }
}
