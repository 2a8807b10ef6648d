import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { decimals, median } from '../lib/figures.js';
import { root, Server, using } from '../lib/server.js';
import { until } from '../lib/waits.js';
import { peer } from './servers.js';
import { markedServerColumn, type Row, runs, say, type Table, tableOf } from './table.js';

/** Those that docs/design.md gives for the least memory, and what the application collects its garbage by when it is asked. */
const flags = ['--max-semi-space-size=2', '--heap-growing-percent=20', '--expose-gc'];

/** Connections that are opened at a time. */
const atOnce = 32;

/** What stands before a feed: nothing, middleware that replaces `write()` and `end()`, or a page on the same connection. */
const cases = [
  { what: '', arguments: [], pages: 0 },
  { what: ', behind compression() and express-session', arguments: ['middleware'], pages: 0 },
  { what: ', after a page on its connection', arguments: [], pages: 1 },
  { what: ', both', arguments: ['middleware'], pages: 1 },
] as const;

interface EmbeddedRow extends Row {
  kilobytes: number[];
  heapKilobytes: number[];
  handedOver: number[];
}

/** What the application says of its process: resident memory and JavaScript's share of it, in bytes. */
interface Memory {
  open: number;
  handedOver: number;
  rss: number;
  heap: number;
}

/** Opens a connection that follows a feed, once it has got its pages. */
async function follow({ hostname: host, port }: URL, n: number, pages: number): Promise<Socket> {
  const socket = connect({ host, port: Number(port), localAddress: `127.0.0.${(n % 16) + 1}` });
  for (const path of [...Array(pages).fill('/page'), `/feeds/${n}`]) {
    socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nAccept-Encoding: gzip\r\n\r\n`);
    await once(socket, 'data');
  }
  socket.on('error', () => {});
  return socket.resume();
}

async function ask(url: URL): Promise<Memory> {
  return (await fetch(new URL('memory', url))).json() as Promise<Memory>;
}

/** What a connection takes in an application, as its feeds are asked for in practice. Nothing is sent on it but its head. */
export async function embedded(connections: number, rounds: number, folder = root): Promise<Table[]> {
  const rows: EmbeddedRow[] = [];
  for (const platform of ['express', 'fastify']) {
    for (const { what, arguments: more, pages } of cases) {
      const row: EmbeddedRow = {
        name: `Nest on ${platform}${what}`,
        ok: true,
        faults: [],
        kilobytes: [],
        heapKilobytes: [],
        handedOver: [],
      };
      for (let round = 1; round <= rounds; round += 1) {
        const { args, ...start } = peer('nest-feed', platform, folder, ...more);
        const server = new Server({ ...start, args: [...flags, ...args] });
        await using(server, async ({ url }) => {
          const sockets: Socket[] = [];
          const open = async (upTo: number) => {
            let next = sockets.length;
            const opener = async () => {
              while (next < upTo) sockets.push(await follow(url, next++, pages));
            };
            await Promise.all(Array.from({ length: atOnce }, opener));
          };
          // What a process takes once, for its first connections.
          await open(Math.ceil(connections / 10));
          const before = await ask(url);
          await open(before.open + connections);
          const after = await ask(url);
          row.kilobytes.push((after.rss - before.rss) / connections / 1024);
          row.heapKilobytes.push((after.heap - before.heap) / connections / 1024);
          row.handedOver.push(after.handedOver / after.open);
          if (after.open !== sockets.length) row.faults?.push(`round ${round}: ${after.open} of ${sockets.length} are open`);
          for (const socket of sockets) socket.destroy();
          if (!(await until(async () => (await ask(url)).open === 0))) row.faults?.push(`round ${round}: some stay open`);
        });
        say(`round ${round}: ${row.name}: ${decimals(row.kilobytes.at(-1), 2)} KB a connection`);
      }
      row.ok = row.faults?.length === 0;
      rows.push(row);
    }
  }
  return [
    tableOf(`feeds of an application: ${connections} connections, ${runs(rounds)}`, rows, [
      markedServerColumn,
      ['KB/conn', ({ kilobytes }) => decimals(median(kilobytes), 1)],
      ['of which heap', ({ heapKilobytes }) => decimals(median(heapKilobytes), 1)],
      ['handed over', ({ handedOver }) => `${decimals(100 * (median(handedOver) ?? 0))} %`],
    ]),
  ];
}
