import { createConnection } from 'node:net';
import { type Address, shuffled } from '../address.js';
import type { NatsSettings } from './nats.options.js';

/**
 * Finds a server that answers: each sends a message when a client connects, unless it waits for TLS.
 *
 * The NATS client is given only such a server. It never closes a socket on which the server sends nothing, even after its own timeout.
 */
export async function findServer({ servers, client }: NatsSettings, timeoutMs: number, signal: AbortSignal): Promise<Address> {
  const answer = client.tls?.handshakeFirst ? 'connect' : 'data';
  let cause: unknown;
  for (const server of shuffled(servers)) {
    signal.throwIfAborted();
    try {
      await probe(server, answer, timeoutMs, signal);
      return server;
    } catch (error) {
      cause = error;
    }
  }
  throw cause;
}

async function probe({ host, port }: Address, answer: 'connect' | 'data', timeout: number, signal: AbortSignal): Promise<void> {
  const socket = createConnection({ host, port, timeout });
  const abort = () => socket.destroy(signal.reason);
  signal.addEventListener('abort', abort);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once(answer, () => resolve());
      socket.once('timeout', () => reject(new Error(`${host}:${port} does not answer`)));
      socket.once('close', () => reject(new Error(`${host}:${port} closed the connection`)));
      socket.on('error', reject);
    });
  } finally {
    signal.removeEventListener('abort', abort);
    socket.destroy();
  }
}
