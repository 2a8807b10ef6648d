import { Agent, get } from 'node:http';
import { Engine, missing } from '../../tools/engines.mjs';
import { decimals, median } from '../lib/figures.js';
import { atEnd, root, Server, using } from '../lib/server.js';
import { peer } from './servers.js';
import { markedServerColumn, type Row, runs, say, type Table, tableOf } from './table.js';

/** Requests of each kind in a round, and before the first one counts, so that V8 has compiled what it is going to. */
const [requests, warmUp] = [200, 100];
/** What the application has. */
const messages = 1000;

/** Milliseconds, round by round. */
interface HistoryRow extends Row {
  alone: number[];
  own: number[];
  once: number[];
  /** Once ÷ alone, and once ÷ own. */
  ratios: [number, number][];
}

/** An answer, and the time until its last byte. */
async function ask(url: URL, path: string, agent: Agent): Promise<{ body: { messages?: unknown }; ms: number }> {
  const begunAt = performance.now();
  const [chunks, ms] = await new Promise<[Buffer[], number]>((resolve, reject) => {
    const request = get(new URL(path, url), { agent }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        if (response.statusCode === 200) resolve([chunks, performance.now() - begunAt]);
        else reject(new Error(`${path} was answered with status ${response.statusCode}`));
      });
    });
    request.on('error', reject);
  });
  return { body: JSON.parse(Buffer.concat(chunks).toString()), ms };
}

/** What the application takes to read its history, in a request for nothing else, and what a client waits for it in both ways. */
async function sample(url: URL, agent: Agent): Promise<[alone: number, own: number, once: number]> {
  const alone = (await ask(url, '/alone', agent)).body as { ms: number; messages: number };
  const own = await ask(url, '/own', agent);
  const once = await ask(url, '/feeds/full?mode=once', agent);
  const counts = [alone.messages, (own.body.messages as unknown[]).length, (once.body.messages as unknown[]).length];
  if (counts.some((count) => count !== messages)) throw new Error(`${counts} messages instead of ${messages}`);
  return [alone.ms, own.ms, once.ms];
}

/** What a client waits for history by `mode=once`, beside what reading it takes the application: three kinds of requests in turns. */
export async function historyAnswer(rounds: number, folder = root): Promise<Table[]> {
  const brokers = ['memory'];
  if (missing().includes('redis-server')) say('no redis-server here: its rows are left out');
  else {
    const redis = await Engine.start('redis');
    atEnd(() => redis.stop());
    brokers.push(redis.url);
  }
  const rows: HistoryRow[] = [];
  for (const broker of brokers) {
    for (const platform of ['express', 'fastify']) {
      const row: HistoryRow = { name: `Nest on ${platform}, ${broker.split(':')[0]}`, ok: true, alone: [], own: [], once: [], ratios: [] };
      const server = new Server(peer('nest-history', platform, folder, broker));
      await using(server, async ({ url }) => {
        const agent = new Agent({ keepAlive: true });
        for (let n = 0; n < warmUp; n += 1) await sample(url, agent);
        for (let round = 1; round <= rounds; round += 1) {
          const samples: [number, number, number][] = [];
          for (let n = 0; n < requests; n += 1) samples.push(await sample(url, agent));
          const [alone, own, once] = [0, 1, 2].map((kind) => median(samples.map((each) => each[kind])) as number);
          row.alone.push(alone);
          row.own.push(own);
          row.once.push(once);
          row.ratios.push([once / alone, once / own]);
          say(`round ${round}: ${row.name}: ${decimals(once, 2)} ms, ${decimals(alone, 2)} ms to read it`);
        }
        agent.destroy();
      });
      rows.push(row);
    }
  }
  return [
    tableOf(`${messages} messages of history, ${runs(rounds)}`, rows, [
      markedServerColumn,
      ['history() ms', ({ alone }) => decimals(median(alone), 2)],
      ['own route ms', ({ own }) => decimals(median(own), 2)],
      ['mode=once ms', ({ once }) => decimals(median(once), 2)],
      ['once ÷ history()', ({ ratios }) => decimals(median(ratios.map(([alone]) => alone)), 2)],
      ['once ÷ own route', ({ ratios }) => decimals(median(ratios.map(([, own]) => own)), 2)],
    ]),
  ];
}
