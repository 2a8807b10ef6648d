const chunkMark = Buffer.from('Chunk ');
const messageMark = Buffer.from('Message ');
const timeMark = Buffer.from(' at ');
const pathMark = Buffer.from(' for id ');

/** The text of a posted message: its number on the feed, the time and the path, padded to `bytes` bytes. */
export function messageText(number: number, micros: number, path: string, bytes: number): string {
  const text = `Message ${number} at ${micros} for id ${path}`;
  return text.length < bytes ? `${text} `.padEnd(bytes, '.') : text;
}

/**
 * Parses lines that contain `Chunk <number> for id <path>` or `Message <number> at <micros> for id <path>`. One object parses all lines in
 * place, so that nothing is allocated for a line.
 */
export class NumberedLine {
  isMessage = false;
  number = 0;
  /** When the message was sent, by the sender's clock, in microseconds. */
  micros = 0;
  private bytes: Buffer = chunkMark;
  /** The current position in the bytes, and the end of the line. */
  private at = 0;
  private end = 0;

  /** Returns whether the line contains one of them. */
  read(bytes: Buffer, start: number, end: number): boolean {
    this.bytes = bytes;
    this.end = end;
    for (this.at = start; this.at < end; this.at += 1) {
      const byte = bytes[this.at];
      if (byte === chunkMark[0] && this.skip(chunkMark)) {
        this.isMessage = false;
        this.number = this.digits();
        return this.number >= 0;
      }
      if (byte === messageMark[0] && this.skip(messageMark)) {
        this.isMessage = true;
        this.number = this.digits();
        this.micros = this.skip(timeMark) ? this.digits() : -1;
        return this.number >= 0 && this.micros >= 0;
      }
    }
    return false;
  }

  /** Whether the line is for this path, or does not name a path. */
  isFor(path: string): boolean {
    if (!this.skip(pathMark)) return true;
    const { bytes, at, end } = this;
    if (at + path.length > end) return false;
    for (let n = 0; n < path.length; n += 1) if (bytes[at + n] !== path.charCodeAt(n)) return false;
    // If a digit follows, the path is another one.
    return at + path.length === end || !isDigit(bytes[at + path.length]);
  }

  /** Advances past the mark, if it is next. */
  private skip(mark: Buffer): boolean {
    const { bytes, at } = this;
    if (at + mark.length > this.end) return false;
    for (let n = 0; n < mark.length; n += 1) if (bytes[at + n] !== mark[n]) return false;
    this.at += mark.length;
    return true;
  }

  /** Parses the digits that are next; -1 if there are none. */
  private digits(): number {
    const first = this.at;
    let number = 0;
    for (; this.at < this.end && isDigit(this.bytes[this.at]); this.at += 1) number = number * 10 + (this.bytes[this.at] as number) - 48;
    return this.at === first ? -1 : number;
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 48 && byte <= 57;
}
