import { connect, type Socket } from 'node:net';
import type { Feed } from './feed.js';
import { NumberedLine } from './numbered-line.js';
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
  /** A message that was sent at `micros` arrived; `isLast` when all followers of its feed have it now. */
  message(micros: number, isLast: boolean): void;
  bytes(count: number): void;
  /** A connection failed before it was open, or ended before it was told to. */
  lost(member: Member, why: string): void;
}

/** All sockets read into one buffer: what is in it is looked at before the next one reads. */
const shared = Buffer.allocUnsafeSlow(64 * 1024);
const line = new NumberedLine();

/** One connection of the flood. */
export class Member implements ResponseListener {
  state: MemberState = 'connecting';
  readonly chunks = new Sequence();
  readonly messages = new Sequence();
  /** The longest time between two chunks, in milliseconds. */
  silence = 0;
  private readonly begun = performance.now();
  private hasFirstByte = false;
  private lastChunk = 0;
  private readonly reader = new ResponseReader(this);
  private readonly socket: Socket;

  constructor(
    private readonly crowd: Crowd,
    private readonly feed: Feed,
    localAddress: string | undefined,
  ) {
    this.socket = connect({
      host: crowd.host,
      port: crowd.port,
      localAddress,
      noDelay: true,
      onread: { buffer: shared, callback: (bytes) => this.read(bytes) },
    });
    this.socket.write(`GET ${feed.path} HTTP/1.1\r\n${crowd.headers}\r\n\r\n`);
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
    if (this.state === 'open') this.feed.leave(this.messages);
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
    this.feed.followers += 1;
    this.crowd.opened();
  }

  line(bytes: Buffer, start: number, end: number): void {
    if (this.state !== 'open' || !line.read(bytes, start, end)) return;
    if (line.isMessage) this.takeMessage();
    else this.takeChunk();
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

  private takeChunk(): void {
    this.chunks.take(line.number);
    if (!line.isFor(this.feed.path)) this.chunks.misdelivered += 1;
    const now = performance.now();
    if (this.lastChunk > 0) this.silence = Math.max(this.silence, now - this.lastChunk);
    this.lastChunk = now;
    this.crowd.chunk();
  }

  private takeMessage(): void {
    const { feed, messages } = this;
    // Another feed's number says nothing about this one's, nor does a number that has not been posted.
    if (line.number > feed.last || !line.isFor(feed.path)) messages.misdelivered += 1;
    else if (messages.take(line.number)) this.crowd.message(line.micros, feed.receive(line.number));
  }
}
