import { connect, type Socket } from 'node:net';
import type { Feed } from './feed.js';
import { NumberedLine } from './numbered-line.js';
import { type ResponseListener, ResponseReader } from './response-reader.js';
import { Sequence } from './sequence.js';

type ConnectionState = 'connecting' | 'open' | 'failed' | 'endedEarly' | 'closed';

/** What all connections share: each one has no more than a socket, a reader and a few numbers of its own. */
export interface ConnectionListener {
  readonly host: string;
  readonly port: number;
  readonly headers: string;
  /** The first byte of a response arrived, `ms` after the connection was started. */
  onFirstByte(ms: number): void;
  /** A response with status 200 began. */
  onOpen(): void;
  onChunk(): void;
  /** A message that was sent at `micros` arrived; `isLast` if all followers of its feed have it now. */
  onMessage(micros: number, isLast: boolean): void;
  onBytes(count: number): void;
  /** A connection failed to open, or ended before it was closed. */
  onFailure(connection: Connection, reason: string): void;
}

/** The read buffer of all sockets: each read is processed before the next one. */
const shared = Buffer.allocUnsafeSlow(64 * 1024);
const line = new NumberedLine();

/** One connection of the flood. */
export class Connection implements ResponseListener {
  state: ConnectionState = 'connecting';
  readonly chunks = new Sequence();
  readonly messages = new Sequence();
  /** The longest time between two chunks, in milliseconds. */
  silence = 0;
  private readonly startedAt = performance.now();
  private hasFirstByte = false;
  private lastChunkAt = 0;
  private readonly reader = new ResponseReader(this);
  private readonly socket: Socket;

  constructor(
    private readonly listener: ConnectionListener,
    private readonly feed: Feed,
    localAddress: string | undefined,
  ) {
    this.socket = connect({
      host: listener.host,
      port: listener.port,
      localAddress,
      noDelay: true,
      onread: { buffer: shared, callback: (bytes) => this.read(bytes) },
    });
    this.socket.write(`GET ${feed.path} HTTP/1.1\r\n${listener.headers}\r\n\r\n`);
    this.socket.on('error', (error) => this.fail(error.message));
    this.socket.on('close', () => this.fail('closed by the server'));
  }

  /** Whether it has been connecting for longer than the timeout. */
  isLate(now: number, timeoutMs: number): boolean {
    return this.state === 'connecting' && now - this.startedAt > timeoutMs;
  }

  /** Closes the connection at the end of the flood. The silence up to now counts. */
  close(now: number): void {
    if (this.state === 'open') {
      this.state = 'closed';
      this.noteSilence(now);
    }
    this.socket.destroy();
  }

  fail(reason: string): void {
    if (this.state !== 'connecting' && this.state !== 'open') return;
    if (this.state === 'open') this.feed.leave(this.messages);
    this.state = this.state === 'open' ? 'endedEarly' : 'failed';
    this.listener.onFailure(this, reason);
    this.socket.destroy();
  }

  head(status: number): void {
    if (status !== 200) {
      this.fail(`response status ${status}`);
      return;
    }
    this.state = 'open';
    this.feed.followers += 1;
    this.listener.onOpen();
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
      this.lastChunkAt = performance.now();
      this.listener.onFirstByte(this.lastChunkAt - this.startedAt);
    }
    this.listener.onBytes(length);
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
    this.noteSilence(now);
    this.lastChunkAt = now;
    this.listener.onChunk();
  }

  private noteSilence(now: number): void {
    if (this.lastChunkAt > 0) this.silence = Math.max(this.silence, now - this.lastChunkAt);
  }

  private takeMessage(): void {
    const { feed, messages } = this;
    // A number of another feed, or one that has not been posted, is not part of this feed's sequence.
    if (line.number > feed.last || !line.isFor(feed.path)) messages.misdelivered += 1;
    else if (messages.take(line.number)) this.listener.onMessage(line.micros, feed.receive(line.number));
  }
}
