import type { Connection } from './connection.js';

/** How many times the bytes that may wait are counted anew while they come in: the bound is exact to one part of so many. */
const looks = 16;

/**
 * Keeps what waits for all clients together under a bound: the connection for which most waits ends first.
 *
 * Only connections whose clients have not taken all are known here. Their bytes are counted from time to time, not with each write.
 */
export class BufferLimit {
  private readonly connections = new Set<Connection>();
  /** Bytes that came in since they were last counted. */
  private since = 0;

  /** @param bound bytes; 0 for none */
  constructor(private readonly bound: number) {}

  add(connection: Connection, bytes: number): void {
    this.connections.add(connection);
    this.since += bytes;
    if (this.bound > 0 && this.since >= this.bound / looks) this.look();
  }

  delete(connection: Connection): void {
    this.connections.delete(connection);
  }

  private look(): void {
    this.since = 0;
    let waiting = 0;
    for (const { bufferedBytes } of this.connections) waiting += bufferedBytes;
    if (waiting <= this.bound) return;
    const worstFirst = [...this.connections].sort((a, b) => b.bufferedBytes - a.bufferedBytes);
    for (const connection of worstFirst) {
      if (waiting <= this.bound) return;
      waiting -= connection.bufferedBytes;
      this.connections.delete(connection);
      connection.end('slow');
    }
  }
}
