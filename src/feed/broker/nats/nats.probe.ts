import { once } from 'node:events';
import { createConnection } from 'node:net';
import type { Address } from './nats.options.js';

/**
 * A server that answers: each says something as soon as somebody connects.
 *
 * The client is led to such a server only. It keeps a socket on which nothing comes open after its own time is over, for as long as
 * the process lives; here it is destroyed.
 */
export async function findServer(servers: readonly Address[], timeoutMs: number, signal: AbortSignal): Promise<Address> {
  let cause: unknown;
  for (const server of [...servers].sort(() => Math.random() - 0.5)) {
    const socket = createConnection(server);
    try {
      await once(socket, 'data', { signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) });
      return server;
    } catch (error) {
      cause = error;
    } finally {
      socket.on('error', () => {}).destroy();
    }
  }
  throw cause;
}
