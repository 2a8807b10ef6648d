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
    signal.throwIfAborted();
    try {
      await hear(server, timeoutMs, signal);
      return server;
    } catch (error) {
      cause = error;
    }
  }
  throw cause;
}

function hear({ host, port }: Address, timeout: number, signal: AbortSignal): Promise<void> {
  const socket = createConnection({ host, port, timeout, signal });
  return new Promise<void>((resolve, reject) => {
    socket.once('data', () => resolve());
    socket.once('timeout', () => reject(new Error(`${host}:${port} does not answer`)));
    socket.once('close', () => reject(new Error(`${host}:${port} has closed the connection`)));
    socket.on('error', reject);
  }).finally(() => socket.destroy());
}
