import { pipeline } from 'node:stream/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { Hostile } from './hostile.js';

/** Begins to misbehave towards a path of the server on this port; resolves once it is at work. */
export type HostilePeer = (port: number, path: string) => Promise<Hostile>;

const requestFor = (path: string) => `GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`;

/** Asks for a path and reads nothing, not even the head. */
export const neverReads: HostilePeer = async (port, path) => {
  const hostile = new Hostile(port);
  const socket = await hostile.connect();
  socket.write(requestFor(path));
  return hostile;
};

/** Asks for a path and takes so many bytes a second from the system, one at a time. Its work: bytes read. */
export const readsSlowly =
  (bytesPerSecond: number): HostilePeer =>
  async (port, path) => {
    const hostile = new Hostile(port);
    const readOne = () => {
      hostile.work += 1;
      return false; // and no more for now
    };
    const socket = await hostile.connect({ onread: { buffer: new Uint8Array(1), callback: readOne } });
    socket.write(requestFor(path));
    hostile.pace(socket, bytesPerSecond, () => socket.resume());
    return hostile;
  };

/** Sends a head without an end, so many bytes a second, one at a time. Its work: bytes sent. */
export const sendsHeadSlowly =
  (bytesPerSecond: number): HostilePeer =>
  async (port, path) => {
    const hostile = new Hostile(port);
    const head = requestFor(path).slice(0, -2);
    const socket = await hostile.connect();
    socket.setNoDelay(true).resume();
    hostile.pace(socket, bytesPerSecond, () => {
      socket.write(head[hostile.work] ?? 'a');
      hostile.work += 1;
    });
    return hostile;
  };

/** Says that it will send no more, once behind its request and once when the head has come, and stays. Its work: connections closed on it. */
export const halfCloses: HostilePeer = async (port, path) => {
  const hostile = new Hostile(port);
  for (const isAtOnce of [true, false]) {
    const socket = await hostile.connect({ allowHalfOpen: true });
    socket.once('close', () => {
      hostile.work += 1;
    });
    socket.write(requestFor(path));
    if (!isAtOnce) await hostile.answered(socket);
    socket.end();
    socket.resume();
  }
  return hostile;
};

/**
 * Asks and resets the connection, in a loop: at once, one turn of the event loop later, two, and so on up to 15, so that the server
 * is at any stage of its answer. Its work: connections reset.
 */
export const resetsWhileHeadIsWritten: HostilePeer = async (port, path) => {
  const hostile = new Hostile(port);
  hostile.repeat(async (n) => {
    const socket = await hostile.connect();
    socket.write(requestFor(path));
    for (let turns = n % 16; turns > 0; turns -= 1) await turn();
    await hostile.closed(socket.resetAndDestroy());
    hostile.work += 1;
  });
  return hostile;
};

/**
 * Sends bytes behind its request as fast as the server takes them: on one connection the request again and again, on another garbage, each
 * with the first of them in one packet with the request, and with all of them after the head. Its work: bytes sent.
 */
export const floodsAfterRequest: HostilePeer = async (port, path) => {
  const hostile = new Hostile(port);
  const request = requestFor(path);
  for (const flood of [request.repeat(200), '\0garbage'.repeat(1000)]) {
    for (const isAtOnce of [true, false]) {
      const socket = await hostile.connect();
      const answered = hostile.answered(socket);
      const bytes = async function* () {
        yield isAtOnce ? request + flood : request;
        await answered;
        for (; ; hostile.work += flood.length) yield flood;
      };
      pipeline(bytes, socket).catch(() => {}); // the server may close a connection that it has garbage from
    }
  }
  return hostile;
};

/**
 * Opens and drops in a loop, by an orderly end and by a reset: without a word, within the request, behind it, and when the head has come.
 * Its work: connections dropped.
 */
export const opensAndDrops: HostilePeer = async (port, path) => {
  const hostile = new Hostile(port);
  const request = requestFor(path);
  const said = ['', request.slice(0, request.length / 2), request, request];
  hostile.repeat(async (n) => {
    const socket = await hostile.connect();
    const stage = n % said.length;
    socket.write(said[stage] as string);
    if (stage === said.length - 1) await hostile.answered(socket);
    await hostile.closed(n % (2 * said.length) < said.length ? socket.destroy() : socket.resetAndDestroy());
    hostile.work += 1;
  });
  return hostile;
};
