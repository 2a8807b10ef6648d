import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** How often a peer's connections get a chunk, in milliseconds. */
export const period = Number(process.env.FEED_INTERVAL_MS || 1000);

/** Says where a server listens, as all servers of the bench do. */
export function listening(server: Server): void {
  process.stdout.write(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
}
