import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';

/**
 * A port that is free, for workers that all listen on the same one: also for those that are started later, when no other has it open.
 *
 * @throws what keeps this process from listening on the host
 */
export async function freePort(host: string): Promise<number> {
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
