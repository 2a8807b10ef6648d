/** Gets the parts of a response. The bytes are valid only during the call. */
export interface ResponseListener {
  head(status: number): void;
  /** A line of the body, without its line feed. */
  line(bytes: Buffer, start: number, end: number): void;
  /** The response is complete. */
  end(): void;
}

/** The response is not valid HTTP. */
export class ResponseError extends Error {
  override readonly name = 'ResponseError';
}

const LF = 10;
const CR = 13;

enum State {
  Head,
  Size,
  Data,
  DataEnd,
  Trailer,
  Plain,
  Done,
}

/** The longest head or line that is buffered until it is complete, in bytes. */
const longest = 1 << 20;

/**
 * Parses one HTTP/1.1 response (RFC 9112), chunked or ended by closing the connection, as it arrives, and splits its body into lines. It parses
 * bytes in place, and copies only what spans two reads.
 */
export class ResponseReader {
  private state = State.Head;
  /** The incomplete beginning of a head, a chunk size or a trailer. */
  private rest: Buffer | undefined = undefined;
  /** The incomplete beginning of a line of the body, which may span chunks. */
  private restOfLine: Buffer | undefined = undefined;
  /** The remaining bytes of the current chunk. */
  private left = 0;

  constructor(private readonly listener: ResponseListener) {}

  /** @throws ResponseError */
  read(buffer: Buffer, end: number): void {
    let at = 0;
    while (at < end) {
      switch (this.state) {
        case State.Head:
          at = this.readHead(buffer, at, end);
          break;
        case State.Size:
          at = this.readSize(buffer, at, end);
          break;
        case State.Data: {
          const stop = Math.min(end, at + this.left);
          this.readBody(buffer, at, stop);
          this.left -= stop - at;
          at = stop;
          if (this.left === 0) this.state = State.DataEnd;
          break;
        }
        case State.DataEnd:
          if (buffer[at] === LF) this.state = State.Size;
          else if (buffer[at] !== CR) throw new ResponseError('a chunk is longer than its size says');
          at += 1;
          break;
        case State.Trailer:
          at = this.readTrailer(buffer, at, end);
          break;
        case State.Plain:
          this.readBody(buffer, at, end);
          at = end;
          break;
        case State.Done:
          throw new ResponseError('bytes after the end of the response');
      }
    }
  }

  private readHead(buffer: Buffer, start: number, end: number): number {
    const before = this.rest?.length ?? 0;
    const bytes = this.join(buffer, start, end);
    const close = bytes.indexOf('\r\n\r\n');
    if (close < 0) {
      this.keep(bytes);
      return end;
    }
    this.rest = undefined;
    const head = bytes.toString('latin1', 0, close);
    const status = /^HTTP\/1\.[01] (\d{3})/.exec(head);
    if (!status) throw new ResponseError('the response is not HTTP/1.1');
    this.state = /\r\ntransfer-encoding: *chunked *(\r\n|$)/i.test(head) ? State.Size : State.Plain;
    this.listener.head(Number(status[1]));
    return start + close + 4 - before;
  }

  private readSize(buffer: Buffer, start: number, end: number): number {
    const lineEnd = buffer.indexOf(LF, start);
    if (lineEnd < 0 || lineEnd >= end) {
      this.keep(this.join(buffer, start, end));
      return end;
    }
    const bytes = this.rest ? this.join(buffer, start, lineEnd + 1) : buffer;
    let at = this.rest ? 0 : start;
    this.rest = undefined;
    let size = 0;
    const first = at;
    for (let digit = hex(bytes[at]); digit >= 0; digit = hex(bytes[at])) {
      size = size * 16 + digit;
      at += 1;
    }
    if (at === first || size > Number.MAX_SAFE_INTEGER) throw new ResponseError("a chunk's size is not a hexadecimal number");
    this.left = size;
    this.state = size === 0 ? State.Trailer : State.Data;
    return lineEnd + 1;
  }

  private readTrailer(buffer: Buffer, start: number, end: number): number {
    const lineEnd = buffer.indexOf(LF, start);
    if (lineEnd < 0 || lineEnd >= end) {
      this.keep(this.join(buffer, start, end));
      return end;
    }
    const bytes = this.join(buffer, start, lineEnd);
    this.rest = undefined;
    if (bytes.length === 0 || (bytes.length === 1 && bytes[0] === CR)) {
      this.state = State.Done;
      this.listener.end();
    }
    return lineEnd + 1;
  }

  private readBody(buffer: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end) {
      const lineEnd = buffer.indexOf(LF, at);
      if (lineEnd < 0 || lineEnd >= end) {
        this.keepBody(buffer.subarray(at, end));
        return;
      }
      if (this.restOfLine) {
        const line = Buffer.concat([this.restOfLine, buffer.subarray(at, lineEnd)]);
        this.restOfLine = undefined;
        this.listener.line(line, 0, line.length);
      } else {
        this.listener.line(buffer, at, lineEnd);
      }
      at = lineEnd + 1;
    }
  }

  private keepBody(bytes: Buffer): void {
    this.restOfLine = this.restOfLine ? Buffer.concat([this.restOfLine, bytes]) : Buffer.from(bytes);
    if (this.restOfLine.length > longest) throw new ResponseError(`a line is longer than ${longest} bytes`);
  }

  private join(buffer: Buffer, start: number, end: number): Buffer {
    const bytes = buffer.subarray(start, end);
    return this.rest ? Buffer.concat([this.rest, bytes]) : bytes;
  }

  private keep(bytes: Buffer): void {
    if (bytes.length > longest) throw new ResponseError(`a head is longer than ${longest} bytes`);
    this.rest = Buffer.from(bytes);
  }
}

function hex(byte: number | undefined): number {
  if (byte === undefined) return -1;
  if (byte >= 48 && byte <= 57) return byte - 48;
  const letter = byte | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}
