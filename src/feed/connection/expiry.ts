import type { Connection } from './connection.js';

/** How often connections are looked at, in milliseconds: one ends that much late at most. */
const stepMs = 1000;

/** Ends connections when their tokens expire: one timer for all, and none where no connection has a token. */
export class Expiry {
  private readonly connections = new Set<Connection>();
  private timer: NodeJS.Timeout | undefined = undefined;

  add(connection: Connection): void {
    if (connection.expiresAt === undefined) return;
    this.connections.add(connection);
    this.timer ??= setInterval(() => this.look(), stepMs).unref();
  }

  delete(connection: Connection): void {
    if (!this.connections.delete(connection) || this.connections.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private look(): void {
    const now = Date.now();
    for (const connection of this.connections) if ((connection.expiresAt as number) <= now) connection.end('expired');
  }
}
