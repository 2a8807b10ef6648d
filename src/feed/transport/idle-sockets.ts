import type { Socket } from 'node:net';

const idleSocketsOf = new WeakMap<Socket, IdleSockets>();

/**
 * Sockets that have not sent a request yet. Each takes a descriptor, and Node gives them a minute and more. When descriptors run low,
 * the oldest is closed.
 */
export class IdleSockets {
  private readonly sockets = new Set<Socket>();

  /** @param most how many there may be at the moment */
  constructor(private readonly most: () => number) {}

  add(socket: Socket): void {
    this.sockets.add(socket);
    idleSocketsOf.set(socket, this);
    socket.on('close', onRequestOrClose);
    if (this.sockets.size <= this.most()) return;
    const [oldest] = this.sockets;
    oldest?.destroy();
  }

  /** The socket has sent a request. */
  static noteRequest(socket: Socket): void {
    onRequestOrClose.call(socket);
  }

  /** @internal */
  delete(socket: Socket): void {
    this.sockets.delete(socket);
  }
}

function onRequestOrClose(this: Socket) {
  const idle = idleSocketsOf.get(this);
  if (!idle) return;
  idle.delete(this);
  idleSocketsOf.delete(this);
  this.off('close', onRequestOrClose);
}
