import type { Socket } from 'node:net';

const unaskedOf = new WeakMap<Socket, IdleSockets>();

/**
 * Connections on which nobody has asked for anything yet, and which take a descriptor each: Node gives them a minute and more for that. Where
 * descriptors are short, the one that has taken longest has to go.
 */
export class IdleSockets {
  private readonly sockets = new Set<Socket>();

  /** @param most how many there may be at this moment */
  constructor(private readonly most: () => number) {}

  add(socket: Socket): void {
    this.sockets.add(socket);
    unaskedOf.set(socket, this);
    socket.on('close', onAskedOrClosed);
    if (this.sockets.size <= this.most()) return;
    const [oldest] = this.sockets;
    oldest?.destroy();
  }

  /** Something has been asked for on it. */
  static asked(socket: Socket): void {
    onAskedOrClosed.call(socket);
  }

  /** @internal */
  delete(socket: Socket): void {
    this.sockets.delete(socket);
  }
}

function onAskedOrClosed(this: Socket) {
  const unasked = unaskedOf.get(this);
  if (!unasked) return;
  unasked.delete(this);
  unaskedOf.delete(this);
  this.off('close', onAskedOrClosed);
}
