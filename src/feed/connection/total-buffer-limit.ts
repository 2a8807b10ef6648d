import type { EndReason } from '../stats/end-reason.js';

/** How many times the waiting bytes are counted while the bound fills up: it is exact to one part of so many. */
const checks = 16;

/** What holds bytes that wait for a client. */
export interface Buffered {
  readonly bufferedBytes: number;
  end(reason: EndReason): void;
}

/**
 * Bounds the bytes that wait for all clients together: beyond, the connection that holds most ends first.
 *
 * It only knows connections for which bytes wait. Their bytes are counted from time to time, not with each write.
 */
export class TotalBufferLimit {
  private readonly connections = new Set<Buffered>();
  /** Bytes that came since the last count. */
  private uncounted = 0;

  /** @param bound bytes; 0 for none */
  constructor(private readonly bound: number) {}

  /** More bytes wait for a connection. */
  add(connection: Buffered, bytes: number): void {
    this.connections.add(connection);
    this.uncounted += bytes;
    if (this.bound > 0 && this.uncounted >= this.bound / checks) this.check();
  }

  /** The client has taken everything, or the connection is closed. */
  delete(connection: Buffered): void {
    this.connections.delete(connection);
  }

  private check(): void {
    this.uncounted = 0;
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
