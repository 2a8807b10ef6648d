// What connections that come and go leave behind: `npm run bench:churn`. 200,000 of them visit the service, 2,000 open at a time, and the
// service's resident memory after the first 20,000 is compared with that after the last.
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { parseArgs } from 'node:util';
import { serve } from './child.mjs';
import { environment, servers } from './servers.mjs';
import { decimals, table } from './table.mjs';

const { values } = parseArgs({
  options: {
    visits: { type: 'string', default: '200000' },
    open: { type: 'string', default: '2000' },
    first: { type: 'string', default: '20000' },
  },
});
const [visits, open, first] = [values.visits, values.open, values.first].map(Number);
if (![visits, open, first].every(Number.isSafeInteger) || open < 1 || first <= open || visits <= first) {
  console.error('--open, --first and --visits must be whole numbers, each larger than the one before');
  process.exit(2);
}

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

async function churn({ prepare }) {
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
    return { atRest, afterFirst, afterLast, opened: counts.opened };
  } finally {
    await server.stop();
  }
}

const rows = [];
for (const server of servers.filter(({ name }) => name === 'service Express' || name === 'service Fastify')) {
  const { atRest, afterFirst, afterLast, opened } = await churn(server);
  if (opened !== visits) throw new Error(`the service counts ${opened} connections instead of ${visits}`);
  rows.push([server.name, decimals(atRest, 1), decimals(afterFirst, 1), decimals(afterLast, 1), decimals(afterLast / afterFirst, 2)]);
}
console.log(table(['server', 'RSS MB at rest', `after ${first}`, `after ${visits}`, 'ratio'], rows, false));
