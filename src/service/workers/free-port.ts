import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

/**
 * Finds the port for several workers to listen on, and checks that no other process does: a port that is shared with `SO_REUSEPORT` would be shared with
 * another service, too. It is chosen once, so that a replacement finds it even while no other worker listens.
 *
 * @param port 0 for any
 * @throws the error of listening there
 */
export async function freePort(host: string, port: number): Promise<number> {
  const server = createServer().listen(port, host);
  await once(server, 'listening');
  const { port: free } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return free;
}
