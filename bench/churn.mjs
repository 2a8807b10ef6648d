import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { serve } from './child.mjs';
import { environment, servers } from './servers.mjs';
import { decimals, table } from './table.mjs';

/** Addresses to come from: a port that was used rests for a minute, and one address has some 28,000 of them. */
const sources = Array.from({ length: 16 }, (_, n) => `127.0.0.${n + 1}`);

/** Resident memory of a process, in megabytes. */
const rss = (pid) => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))[1]) / 1024;

/** Opens a connection and waits for its greeting. */
function visit(url, n) {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: url.hostname, port: url.port, localAddress: sources[n % sources.length] });
    socket.write(`GET /test/${n} HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`);
    socket.once('data', (bytes) => (bytes.includes('200 OK') ? resolve(socket) : reject(new Error(bytes.toString('latin1', 0, 80)))));
    socket.once('error', reject);
  });
}

async function visitAll({ prepare }, { visits, open, first }) {
  const { command, args, env } = await prepare();
  const server = await serve(command, args, environment(1000, env));
  try {
    const url = new URL(server.url);
    const atRest = rss(server.pid);
    const there = [];
    let afterFirst = 0;
    let next = 0;
    // As many at once as keep the server busy, without a queue of its own making.
    const visitor = async () => {
      while (next < visits) {
        next += 1;
        const n = next;
        there.push(await visit(url, n));
        if (n === first) afterFirst = rss(server.pid);
        if (there.length > open) {
          const socket = there.shift();
          socket.on('error', () => {});
          if (n % 2 === 0) socket.resetAndDestroy();
          else socket.destroy();
        }
      }
    };
    await Promise.all(Array.from({ length: 32 }, visitor));
    const afterLast = rss(server.pid);
    const counts = await (await fetch(`${server.url}/health/connections`)).json();
    for (const socket of there) socket.destroy();
    return { atRest, afterFirst, afterLast, ratio: afterLast / afterFirst, ok: counts.opened === visits };
  } finally {
    await server.stop();
  }
}

/**
 * What connections that come and go leave behind: so many visit the service, so many of them open at a time, and its resident memory after
 * the first of them is compared with that after the last.
 *
 * @param say tells how far it has come
 */
export async function churn(options, say) {
  const rows = [];
  for (const server of servers.filter(({ name }) => name === 'service Express' || name === 'service Fastify')) {
    const row = { name: server.name, ...(await visitAll(server, options)) };
    rows.push(row);
    say(
      `${row.name}: ${decimals(row.afterLast, 1)} MB after ${options.visits} connections${row.ok ? '' : ': FAILED, it counts another number'}`,
    );
  }
  return rows;
}

export function churnTable(rows, { visits, first }, markdown) {
  const head = ['server', 'RSS MB at rest', `after ${first}`, `after ${visits}`, 'ratio'];
  const lines = rows.map((row) => [
    row.ok ? row.name : `${row.name} (FAILED)`,
    ...[row.atRest, row.afterFirst, row.afterLast].map((megabytes) => decimals(megabytes, 1)),
    decimals(row.ratio, 2),
  ]);
  return table(head, lines, markdown);
}
