// A TCP connection's path to a server, for tests and the chaos run: it can be cut and mended, as a network's.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

export class Link {
  #server;
  #pairs = new Set();
  #isCut = false;

  #delayMs;

  constructor(server, port, delayMs) {
    this.#server = server;
    this.port = port;
    this.#delayMs = delayMs;
  }

  /** Opens a port on which one reaches the target's, each way with a delay. */
  static async to(target, delayMs = 0) {
    const server = createServer({ pauseOnConnect: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const link = new Link(server, server.address().port, delayMs);
    server.on('connection', (near) => link.#join(near, target));
    return link;
  }

  /** Drops everything from now on: connections stay open, in silence. */
  cut() {
    this.#isCut = true;
    for (const socket of this.#sockets()) socket.pause();
  }

  /** What had been sent passes now, and all that follows. */
  mend() {
    this.#isCut = false;
    for (const socket of this.#sockets()) socket.resume();
  }

  /** Closes all connections; new ones are let through. */
  sever() {
    for (const socket of this.#sockets()) socket.resetAndDestroy();
  }

  async close() {
    const closed = once(this.#server.close(), 'close');
    this.sever();
    await closed;
  }

  *#sockets() {
    for (const pair of this.#pairs) yield* pair;
  }

  #join(near, target) {
    const far = connect(target, '127.0.0.1').pause();
    const pair = [near, far];
    this.#pairs.add(pair);
    const part = () => {
      near.destroy();
      far.destroy();
      this.#pairs.delete(pair);
    };
    for (const [from, to] of [pair, [...pair].reverse()]) {
      const pass = (chunk) => {
        if (to.destroyed || to.write(chunk)) return;
        from.pause();
        to.once('drain', () => this.#isCut || from.resume());
      };
      // Timers of one duration run in the order in which they were set.
      from.on('data', this.#delayMs > 0 ? (chunk) => setTimeout(pass, this.#delayMs, chunk) : pass);
      from.on('error', () => {});
      from.on('close', part);
    }
    if (!this.#isCut) for (const socket of pair) socket.resume();
  }
}
