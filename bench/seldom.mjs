// Followers that read once a second what the kernel has kept for them: next to no CPU time of the client's a chunk, so that a machine with
// few CPUs can give them to what is measured. See README.md.
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** How often some of the connections are read, in milliseconds. */
const stepMs = 10;
/** Connections opened a second. */
const rate = 2000;

/** As much as a connection can have waiting in a second. */
const buffer = Buffer.alloc(65_536);

export class SeldomReaders {
  /** Connections that were closed by the server. */
  lost = 0;
  #sockets = [];
  #last = new Map();
  #next = 0;
  #timer;

  /** Opens connections for ids counted from 1, each until its head has come. */
  static async open(url, connections) {
    const readers = new SeldomReaders();
    const { hostname, port } = new URL(url);
    const begun = performance.now();
    for (let id = 1; id <= connections; id += 1) {
      const ahead = (id / rate) * 1000 - (performance.now() - begun);
      if (ahead > stepMs) await sleep(ahead);
      readers.#sockets.push(readers.#follow(Number(port), hostname, `/test/${id}`));
    }
    while (readers.#last.size < connections) await sleep(stepMs);
    readers.#timer = setInterval(() => readers.#read(Math.ceil((connections * stepMs) / 1000)), stepMs);
    return readers;
  }

  /** The number of the last chunk that each connection has read, the lowest first. */
  async chunks() {
    this.#read(this.#sockets.length);
    await sleep(500);
    const numberOf = (text) => Number([...text.matchAll(/Chunk (\d+) for [^\n]*\n/g)].at(-1)?.[1] ?? 0);
    const numbers = [...this.#last.values()].map(numberOf);
    return numbers.sort((a, b) => a - b);
  }

  close() {
    clearInterval(this.#timer);
    for (const socket of this.#sockets) socket.removeAllListeners('close').destroy();
  }

  #follow(port, host, path) {
    // One buffer for all, and nothing is read ahead of being asked for.
    const onread = {
      buffer,
      callback: (length) => {
        this.#last.set(socket, buffer.toString('latin1', 0, length));
        return false;
      },
    };
    const socket = connect({ port, host, onread });
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    socket.on('error', () => {});
    socket.on('close', () => {
      this.lost += 1;
    });
    return socket;
  }

  #read(some) {
    for (let n = 0; n < some; n += 1) {
      this.#sockets[this.#next]?.resume();
      this.#next = (this.#next + 1) % this.#sockets.length;
    }
  }
}
