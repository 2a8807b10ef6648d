import { connect, type NetConnectOpts, type Socket } from 'node:net';

/** A peer that misbehaves until it is stopped, on one connection or many. */
export class Hostile {
  /** How much it has done so far: bytes or connections, as each kind says. */
  work = 0;
  private static readonly all = new Set<Hostile>();
  private isStopped = false;
  /** Its connections that are not closed yet, each with its close. */
  private readonly sockets = new Map<Socket, Promise<void>>();
  private readonly loops: Promise<void>[] = [];

  constructor(private readonly port: number) {
    Hostile.all.add(this);
  }

  /** How many of its connections nobody has closed yet. */
  get open(): number {
    return this.sockets.size;
  }

  /** Opens a connection, unless the server refuses it; nothing is read from it until it is resumed, and nobody cares what breaks it. */
  async connect(options: Partial<NetConnectOpts> = {}): Promise<Socket> {
    const socket = connect({ port: this.port, host: '127.0.0.1', ...options } as NetConnectOpts);
    socket.pause().on('error', () => {});
    const closed = new Promise<void>((resolve) => {
      socket.once('close', () => {
        this.sockets.delete(socket);
        resolve();
      });
    });
    this.sockets.set(socket, closed);
    await Promise.race([new Promise((resolve) => socket.once('connect', resolve)), closed]);
    return socket;
  }

  /** Resolves when the connection is closed. */
  async closed(socket: Socket): Promise<void> {
    await this.sockets.get(socket);
  }

  /** Resolves with the first bytes of an answer, or when the connection is closed without any. */
  async answered(socket: Socket): Promise<void> {
    await Promise.race([new Promise((resolve) => socket.once('data', resolve).resume()), this.closed(socket)]);
  }

  /** Does something again and again until it is stopped. */
  repeat(round: (n: number) => Promise<void>): void {
    const loop = async () => {
      for (let n = 0; !this.isStopped; n += 1) await round(n);
    };
    this.loops.push(loop());
  }

  /** Does something now, and then so many times a second as long as the connection is there. */
  pace(socket: Socket, perSecond: number, step: () => void): void {
    step();
    const timer = setInterval(step, 1000 / perSecond);
    this.closed(socket).then(() => clearInterval(timer));
  }

  /** Drops all connections; resolves when nothing of it is left. */
  async stop(): Promise<void> {
    this.isStopped = true;
    for (const socket of this.sockets.keys()) socket.destroy();
    await Promise.all([...this.sockets.values(), ...this.loops]);
  }

  /** Stops every hostile peer of a test, also where the test failed. */
  static async stopAll(): Promise<void> {
    await Promise.all([...Hostile.all].map((hostile) => hostile.stop()));
    Hostile.all.clear();
  }
}
