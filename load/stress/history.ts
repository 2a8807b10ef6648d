import { connect, type Socket } from 'node:net';
import { Engine } from '../../tools/engines.mjs';
import { Link } from '../../tools/link.mjs';
import { type Check, check, decimals, median, megabytes, percentile } from '../lib/figures.js';
import { atEnd, rssBytes, using } from '../lib/server.js';
import { atRate, sleep } from '../lib/waits.js';
import { ProbedService } from './probed-service.js';

interface HistoryOptions {
  adapter: string;
  connections: number;
}

/** Feeds, and messages on each of them, that one request asks for. */
const [feeds, each] = [100, 100];
const query = `/test?${Array.from({ length: feeds }, (_, n) => `id=${n}`).join('&')}&since=earliest`;

/** The service with room for the history of these scenarios. */
class HistoryService extends ProbedService {
  constructor(adapter: string, broker: string) {
    super({
      FEED_ADAPTER: adapter,
      FEED_BROKER: broker,
      FEED_HISTORY_LENGTH: `${each}`,
      FEED_HISTORY_BYTES: '4000000',
      FEED_HISTORY_TOTAL_BYTES: '1000000000',
      FEED_STALL_MS: '60000',
    });
  }
}

/** Asks for a target; the response is read only where its reader begins to. */
function ask({ hostname, port }: URL, target: string): Socket {
  const socket = connect(Number(port), hostname).on('error', () => {});
  socket.write(`GET ${target} HTTP/1.1\r\nHost: load\r\n\r\n`);
  return socket;
}

/** Reads until a text has come so many times; resolves with how long that took, in milliseconds. */
async function read(socket: Socket, text: string, times: number): Promise<number> {
  const begunAt = performance.now();
  let [count, rest] = [0, ''];
  for await (const bytes of socket) {
    const parts = (rest + bytes.toString('latin1')).split(text);
    rest = parts.pop() as string;
    count += parts.length;
    if (count >= times) return performance.now() - begunAt;
  }
  return Number.NaN;
}

async function redis(): Promise<Engine> {
  const engine = await Engine.start('redis');
  atEnd(() => engine.stop());
  return engine;
}

/** Ten clients ask for 100 MB of history and read none of it; one reads a hundred feeds. */
export async function history({ adapter }: HistoryOptions): Promise<Check[]> {
  const checks: Check[] = [];
  const [slow, bytes, mostTurnMs] = [10, 10_000, 10];
  // What V8 lets lie around before it collects the old generation depends on the size of the heap, not on that of the history.
  const [mostBytes, mostRssBytes] = [8, 64].map((megabytes) => megabytes * 1024 ** 2) as [number, number];
  const engine = await redis();
  await using(new HistoryService(adapter, engine.url), async (service) => {
    await service.fill(feeds, each, bytes);
    service.hangUp();
    await sleep(5000); // until the heap has settled
    const baseHeap = await service.heapBytes();
    const base = rssBytes(service.pid);
    const sockets = Array.from({ length: slow }, () => ask(service.url, query).pause());
    await sleep(10_000);
    const rss = rssBytes(service.pid) - base;
    const held = (await service.heapBytes()) - baseHeap;
    for (const socket of sockets) socket.destroy();
    const what = 'history: 10 slow readers of 100 MB on Redis,';
    checks.push(
      check(`${what} heap`, megabytes(held), `≤ ${megabytes(mostBytes)}`, held <= mostBytes),
      check(`${what} RSS, with garbage`, megabytes(rss), `≤ ${megabytes(mostRssBytes)}`, rss <= mostRssBytes),
    );
  });
  for (const broker of ['memory', (await redis()).url]) {
    await using(new HistoryService(adapter, broker), async (service) => {
      await service.fill(feeds, each, 100);
      const turns: number[] = [];
      for (let round = 0; round < 5; round += 1) {
        await service.longestTurnMs();
        const socket = ask(service.url, query);
        if (Number.isNaN(await read(socket, 'xx\n', feeds * each))) throw new Error('the history came to an early end');
        turns.push(await service.longestTurnMs());
        socket.destroy();
      }
      const turn = median(turns) as number;
      const what = `history: longest turn for one request, ${feeds} × ${each} messages, ${broker.split(':', 1)[0]}`;
      checks.push(check(what, `${decimals(turn, 1)} ms`, `≤ ${mostTurnMs} ms`, turn <= mostTurnMs));
    });
  }
  return checks;
}

/** What a round trip of 10 ms to Redis adds to the time in which all have come back for their last message. */
export async function resumes({ adapter, connections }: HistoryOptions): Promise<Check[]> {
  const [perSecond, mostMs] = [2000, 1500];
  const engine = await redis();
  const link = await Link.to(engine.port, 5);
  atEnd(() => link.close());
  const lateMs: number[] = [];
  for (const url of [engine.url, engine.url.replace(`:${engine.port}`, `:${link.port}`)]) {
    await using(new HistoryService(adapter, url), async (service) => {
      await service.fill(connections, 1, 100);
      const readers: Promise<number>[] = [];
      const sockets: Socket[] = [];
      await atRate(connections, perSecond, (n) => {
        const socket = ask(service.url, `/test/${n}?since=earliest`);
        sockets.push(socket);
        readers.push(read(socket, 'xx\n', 1));
      });
      const took = await Promise.all(readers);
      for (const socket of sockets) socket.destroy();
      lateMs.push(took.some(Number.isNaN) ? Number.NaN : percentile(took, 1));
    });
  }
  const [near, far] = lateMs as [number, number];
  const figure = `${decimals(far)} ms, ${decimals(near)} without it`;
  return [check(`resumes: the last of ${connections}, Redis 10 ms away`, figure, `≤ ${mostMs} ms later`, far - near <= mostMs)];
}
