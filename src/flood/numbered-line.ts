const chunkMark = Buffer.from('Chunk ');
const messageMark = Buffer.from('Message ');
const timeMark = Buffer.from(' at ');
const pathMark = Buffer.from(' for id ');

/** A message as it is posted: its number on the feed, when it was sent, and for whom, made up to `bytes` bytes. */
export function messageText(number: number, micros: number, path: string, bytes: number): string {
  const text = `Message ${number} at ${micros} for id ${path}`;
  return text.length < bytes ? `${text} `.padEnd(bytes, '.') : text;
}

/**
 * A line that says `Chunk <number> for id <path>` or `Message <number> at <micros> for id <path>`, wherever in it that stands.
 * One object reads all lines, in place, one after the other: nothing is made for a line.
 */
export class NumberedLine {
  isMessage = false;
  number = 0;
  /** When the message was sent, by the sender's clock, in microseconds. */
  micros = 0;
  private bytes: Buffer = chunkMark;
  /** Where in the bytes it has come to, and where the line ends. */
  private at = 0;
  private end = 0;

  /** Returns whether it is such a line. */
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

  /** Whether the line says that it is for this path, or does not say whom it is for. */
  isFor(path: string): boolean {
    if (!this.skip(pathMark)) return true;
    const { bytes, at, end } = this;
    if (at + path.length > end) return false;
    for (let n = 0; n < path.length; n += 1) if (bytes[at + n] !== path.charCodeAt(n)) return false;
    // A path that goes on with a digit is that of another id.
    return at + path.length === end || !isDigit(bytes[at + path.length]);
  }

  /** Moves behind the mark, where there is one. */
  private skip(mark: Buffer): boolean {
    const { bytes, at } = this;
    if (at + mark.length > this.end) return false;
    for (let n = 0; n < mark.length; n += 1) if (bytes[at + n] !== mark[n]) return false;
    this.at += mark.length;
    return true;
  }

  /** Moves behind the digits; -1 where there is none. */
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
