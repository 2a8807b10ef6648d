import { connect, type Socket } from 'node:net';
import { atRate, sleep, until } from '../lib/waits.js';

/** How often some of the connections are read, in milliseconds. */
const stepMs = 10;
/** Connections opened a second. */
const rate = 2000;
/** As much as a connection can have waiting in a second. */
const buffer = Buffer.alloc(65_536);

/**
 * Followers that read once a second what the kernel has kept for them: next to no CPU time of the client's a chunk, so that a machine with
 * few CPUs can give them to what is measured.
 */
export class SlowReaders {
  /** Connections that were closed by the server. */
  lost = 0;
  readonly #sockets: Socket[] = [];
  readonly #last = new Map<Socket, string>();
  #next = 0;
  #timer: NodeJS.Timeout | undefined = undefined;

  /** Opens connections for ids counted from 1, each until its head has come. */
  static async open(url: URL, connections: number): Promise<SlowReaders> {
    const readers = new SlowReaders();
    await atRate(connections, rate, (n) => readers.#follow(url, `/test/${n + 1}`));
    if (!(await until(() => readers.#last.size === connections))) throw new Error(`only ${readers.#last.size} connections were answered`);
    readers.#timer = setInterval(() => readers.#read(Math.ceil((connections * stepMs) / 1000)), stepMs);
    return readers;
  }

  /** The lowest of the numbers of the last chunk that each connection has read. */
  async lowest(): Promise<number> {
    this.#read(this.#sockets.length);
    await sleep(500);
    const numbers = [...this.#last.values()].map((text) => Number([...text.matchAll(/Chunk (\d+) for [^\n]*\n/g)].at(-1)?.[1] ?? 0));
    return Math.min(...numbers);
  }

  close(): void {
    clearInterval(this.#timer);
    for (const socket of this.#sockets) socket.removeAllListeners('close').destroy();
  }

  #follow({ hostname: host, port }: URL, path: string): void {
    // One buffer for all, and nothing is read ahead of being asked for.
    const callback = (length: number) => {
      this.#last.set(socket, buffer.toString('latin1', 0, length));
      return false;
    };
    const socket = connect({ port: Number(port), host, onread: { buffer, callback } });
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    socket.on('error', () => {});
    socket.on('close', () => {
      this.lost += 1;
    });
    this.#sockets.push(socket);
  }

  #read(some: number): void {
    for (let n = 0; n < some; n += 1) {
      this.#sockets[this.#next]?.resume();
      this.#next = (this.#next + 1) % this.#sockets.length;
    }
  }
}
