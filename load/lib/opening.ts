import { connect, type Socket } from 'node:net';
import { cpuMs } from './server.js';
import { atRate, until } from './waits.js';

/** Connections that are opened at a steady rate, each of which has to be answered with 200. */
export interface Openings {
  connections: number;
  perSecond: number;
  /** What each asks for: its target, and other lines of its head, each with its line break. */
  requestOf: (n: number) => { target: string; fields?: string };
  /** What each has to be sent. Default: the head. */
  awaited?: string;
}

/**
 * CPU time that processes take to open a connection, in milliseconds. The client does next to nothing itself, since it shares their machine.
 *
 * @param pids the processes that serve at the address
 * @throws Error where not all are opened
 */
export async function openingMs(
  { hostname: host, port }: URL,
  pids: readonly number[],
  { connections, perSecond, requestOf, awaited = '\r\n\r\n' }: Openings,
): Promise<number> {
  const sockets: Socket[] = [];
  let opened = 0;
  const open = (n: number) => {
    const { target, fields = '' } = requestOf(n);
    const socket = connect(Number(port), host).on('error', () => {});
    let text = '';
    const read = (bytes: Buffer) => {
      text += bytes.toString('latin1');
      if (!text.startsWith('HTTP/1.1 200 ') || !text.includes(awaited)) return;
      opened += 1;
      socket.off('data', read).resume();
    };
    socket.on('data', read).write(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: load\r\n${fields}\r\n`);
    sockets.push(socket);
  };
  const used = () => pids.reduce((all, pid) => all + cpuMs(pid), 0);
  const before = used();
  await atRate(connections, perSecond, open);
  const areOpen = await until(() => opened === connections);
  const took = used() - before;
  for (const socket of sockets) socket.resetAndDestroy();
  if (!areOpen) throw new Error(`only ${opened} of ${connections} connections could be opened`);
  return took / connections;
}
