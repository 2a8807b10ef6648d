import { connect, type Socket } from 'node:net';
import { type ResponseListener, ResponseReader } from './response-reader.js';
import { Sequence } from './sequence.js';

/** Where a member's connection stands. */
export type MemberState = 'connecting' | 'open' | 'failed' | 'endedEarly' | 'closed';

/** What members share: one of them costs a socket, a reader and a few numbers. */
export interface Crowd {
  readonly host: string;
  readonly port: number;
  readonly headers: string;
  /** The first byte of a response arrived, `ms` after its connection was begun. */
  firstByte(ms: number): void;
  /** A response with status 200 began. */
  opened(): void;
  /** A chunk arrived. */
  chunk(): void;
  bytes(count: number): void;
  /** A connection failed before it was open, or ended before it was told to. */
  lost(member: Member, why: string): void;
}

/** All sockets read into one buffer: what is in it is looked at before the next one reads. */
const shared = Buffer.allocUnsafeSlow(64 * 1024);

/** One connection of the flood. */
export class Member implements ResponseListener {
  state: MemberState = 'connecting';
  readonly sequence = new Sequence();
  /** Chunks of which the id is that of another connection. */
  misdelivered = 0;
  /** The longest time between two chunks, in milliseconds. */
  silence = 0;
  private readonly begun = performance.now();
  private hasFirstByte = false;
  private lastChunk = 0;
  private readonly reader = new ResponseReader(this);
  private readonly socket: Socket;

  constructor(
    private readonly crowd: Crowd,
    private readonly path: string,
    localAddress: string | undefined,
  ) {
    this.socket = connect({
      host: crowd.host,
      port: crowd.port,
      localAddress,
      noDelay: true,
      onread: { buffer: shared, callback: (bytes) => this.read(bytes) },
    });
    this.socket.write(`GET ${path} HTTP/1.1\r\n${crowd.headers}\r\n\r\n`);
    this.socket.on('error', (error) => this.fail(error.message));
    this.socket.on('close', () => this.fail('closed by the server'));
  }

  /** Whether it still waits for its first byte, `ms` milliseconds after it began. */
  isLate(now: number, ms: number): boolean {
    return this.state === 'connecting' && now - this.begun > ms;
  }

  /** Ends the flood for this connection; the silence up to now counts. */
  close(now: number): void {
    if (this.state === 'open') {
      this.state = 'closed';
      if (this.lastChunk > 0) this.silence = Math.max(this.silence, now - this.lastChunk);
    }
    this.socket.destroy();
  }

  fail(why: string): void {
    if (this.state !== 'connecting' && this.state !== 'open') return;
    this.state = this.state === 'open' ? 'endedEarly' : 'failed';
    this.crowd.lost(this, why);
    this.socket.destroy();
  }

  head(status: number): void {
    if (status !== 200) {
      this.fail(`answered with status ${status}`);
      return;
    }
    this.state = 'open';
    this.crowd.opened();
  }

  line(bytes: Buffer, start: number, end: number): void {
    if (this.state !== 'open') return;
    const number = findNumber(bytes, start, end);
    if (number < 0) return;
    this.sequence.take(number);
    if (!namesPath(bytes, numberEnd, end, this.path)) this.misdelivered += 1;
    const now = performance.now();
    if (this.lastChunk > 0) this.silence = Math.max(this.silence, now - this.lastChunk);
    this.lastChunk = now;
    this.crowd.chunk();
  }

  end(): void {
    this.fail('ended by the server');
  }

  private read(length: number): boolean {
    if (!this.hasFirstByte) {
      this.hasFirstByte = true;
      this.lastChunk = performance.now();
      this.crowd.firstByte(this.lastChunk - this.begun);
    }
    this.crowd.bytes(length);
    try {
      this.reader.read(shared, length);
    } catch (error) {
      this.fail((error as Error).message);
    }
    return true;
  }
}

const marker = Buffer.from('Chunk ');
const idMarker = Buffer.from(' for id ');

/** Where the number that `findNumber` found ends. */
let numberEnd = 0;

/** The number in `Chunk <number>`, wherever in the line that stands; -1 where it does not. */
function findNumber(bytes: Buffer, start: number, end: number): number {
  for (let at = start; at + marker.length < end; at += 1) {
    if (!has(bytes, at, end, marker)) continue;
    let number = 0;
    let digit = at + marker.length;
    const first = digit;
    for (; digit < end; digit += 1) {
      const byte = bytes[digit] as number;
      if (byte < 48 || byte > 57) break;
      number = number * 10 + byte - 48;
    }
    if (digit === first) return -1;
    numberEnd = digit;
    return number;
  }
  return -1;
}

/** Whether the line says, from `at` on, that it is for this path, or does not say whom it is for. */
function namesPath(bytes: Buffer, at: number, end: number, path: string): boolean {
  if (!has(bytes, at, end, idMarker)) return true;
  const start = at + idMarker.length;
  if (start + path.length > end) return false;
  for (let n = 0; n < path.length; n += 1) if (bytes[start + n] !== path.charCodeAt(n)) return false;
  return true;
}

function has(bytes: Buffer, at: number, end: number, part: Buffer): boolean {
  if (at + part.length > end) return false;
  for (let n = 0; n < part.length; n += 1) if (bytes[at + n] !== part[n]) return false;
  return true;
}
