import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Line } from '../peer.js';

const headEnd = '\r\n\r\n';
const lineEnd = '\r\n';

/**
 * A client that reads an answer as it comes: head, chunks, lines. A peer keeps all bytes,
 * which are too many to be looked at again and again.
 */
export class Reader {
  head = '';
  /** Whether the body came to its orderly end: the last chunk. */
  isComplete = false;
  /** What is wrong with the framing of the chunks. */
  fault: string | undefined = undefined;
  /** What came and is no whole chunk; of an answer without chunks, all of its body. */
  rest = '';
  /** The beginning of the next line. */
  private part = '';

  private constructor(
    readonly socket: Socket,
    private readonly onLine: (line: Line) => void,
  ) {
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => this.read(text));
    socket.on('error', () => {});
  }

  /** Connects and asks for a path. */
  static async get(port: number, path: string, onLine: (line: Line) => void): Promise<Reader> {
    const socket = connect({ port, host: '127.0.0.1' });
    await once(socket, 'connect');
    socket.write(`GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`);
    return new Reader(socket, onLine);
  }

  /** 0 until the head has come. */
  get status(): number {
    return Number(this.head.slice(9, 12));
  }

  header(name: string): string | undefined {
    return new RegExp(`\\r\\n${name}: (\\S+)`, 'i').exec(this.head)?.[1];
  }

  get isClosed(): boolean {
    return this.socket.destroyed;
  }

  leave(): void {
    this.socket.destroy();
  }

  private read(text: string): void {
    this.rest += text;
    if (this.head === '') {
      const end = this.rest.indexOf(headEnd);
      if (end < 0) return;
      this.head = this.rest.slice(0, end);
      this.rest = this.rest.slice(end + headEnd.length);
    }
    if (this.status === 200) this.readChunks();
  }

  /** RFC 9112 section 7.1 */
  private readChunks(): void {
    const { rest } = this;
    let at = 0;
    let came = '';
    for (;;) {
      const begin = rest.indexOf(lineEnd, at) + lineEnd.length;
      if (begin < lineEnd.length) break;
      const size = rest.slice(at, begin - lineEnd.length);
      if (!/^[0-9a-f]+$/i.test(size) || this.isComplete) {
        this.fault ??= `where a chunk should begin, there is ${JSON.stringify(rest.slice(at, at + 40))}`;
        break;
      }
      const end = begin + Number.parseInt(size, 16);
      if (rest.length < end + lineEnd.length) break;
      if (end === begin) this.isComplete = true;
      else came += rest.slice(begin, end);
      at = end + lineEnd.length;
    }
    this.rest = rest.slice(at);
    if (came !== '') this.readLines(came);
  }

  private readLines(text: string): void {
    const lines = (this.part + text).split('\n');
    this.part = lines.pop() as string;
    for (const each of lines) {
      if (each === '') continue;
      this.onLine(JSON.parse(Buffer.from(each, 'latin1').toString()) as Line);
    }
  }
}
