import { createConnection } from 'node:net';
import type { Address, NatsSettings } from './nats.options.js';

/**
 * A server that answers: each says something as soon as somebody connects, unless it waits for TLS.
 *
 * The client is led to such a server only. It keeps a socket on which nothing comes open after its own time is over, for as long as
 * the process lives; here it is destroyed.
 */
export async function findServer({ servers, client }: NatsSettings, timeoutMs: number, signal: AbortSignal): Promise<Address> {
  const sign = client.tls?.handshakeFirst ? 'connect' : 'data';
  let cause: unknown;
  for (const server of [...servers].sort(() => Math.random() - 0.5)) {
    signal.throwIfAborted();
    try {
      await hear(server, sign, timeoutMs, signal);
      return server;
    } catch (error) {
      cause = error;
    }
  }
  throw cause;
}

async function hear({ host, port }: Address, sign: 'connect' | 'data', timeout: number, signal: AbortSignal): Promise<void> {
  const socket = createConnection({ host, port, timeout });
  const abort = () => socket.destroy(signal.reason);
  signal.addEventListener('abort', abort);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once(sign, () => resolve());
      socket.once('timeout', () => reject(new Error(`${host}:${port} does not answer`)));
      socket.once('close', () => reject(new Error(`${host}:${port} has closed the connection`)));
      socket.on('error', reject);
    });
  } finally {
    signal.removeEventListener('abort', abort);
    socket.destroy();
  }
}
