// A TCP connection's path to a server, for tests and the chaos run: it can be cut and mended, as a network's.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

export class Link {
  #server;
  #pairs = new Set();
  #isCut = false;
  #cutOff = '';
  #isDeaf = false;
  #isMute = false;
  #target;
  #delayMs;

  constructor(server, port, target, delayMs) {
    this.#server = server;
    this.port = port;
    this.#target = target;
    this.#delayMs = delayMs;
  }

  /** Opens a port on which one reaches the target's, each way with a delay. */
  static async to(target, delayMs = 0) {
    const server = createServer({ pauseOnConnect: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const link = new Link(server, server.address().port, target, delayMs);
    server.on('connection', (near) => link.#join(near, link.#target));
    return link;
  }

  /** Drops everything from now on: connections stay open, in silence. */
  cut() {
    this.#isCut = true;
    for (const socket of this.#sockets()) socket.pause();
  }

  /** Cuts those alone that come from an address. */
  cutOff(address) {
    this.#cutOff = address;
    for (const pair of this.#pairs) if (this.#isCutOff(pair)) for (const socket of pair) socket.pause();
  }

  /** Drops what clients send from now on; what the server sends still passes. */
  deafen() {
    this.#isDeaf = true;
    for (const [near] of this.#pairs) near.pause();
  }

  /** Holds back what the server sends from now on; what clients send still passes. */
  mute() {
    this.#isMute = true;
    for (const [, far] of this.#pairs) far.pause();
  }

  /** Passes nothing on to anybody on the connections that are open, for ever; new ones are let through. */
  silence() {
    for (const socket of this.#sockets()) socket.removeAllListeners('data').resume();
  }

  /** Leads new connections to another port. */
  lead(target) {
    this.#target = target;
  }

  /** What had been sent passes now, and all that follows. */
  mend() {
    this.#isCut = false;
    this.#cutOff = '';
    this.#isDeaf = false;
    this.#isMute = false;
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

  #isCutOff([near]) {
    return this.#isCut || near.remoteAddress === this.#cutOff;
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
        to.once('drain', () => this.#isCutOff(pair) || (from === near ? this.#isDeaf : this.#isMute) || from.resume());
      };
      // Timers of one duration run in the order in which they were set.
      from.on('data', this.#delayMs > 0 ? (chunk) => setTimeout(pass, this.#delayMs, chunk) : pass);
      from.on('error', () => {});
      from.on('close', part);
    }
    if (this.#isCutOff(pair)) return;
    if (!this.#isDeaf) near.resume();
    if (!this.#isMute) far.resume();
  }
}
