import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { type BrowserContext, chromium } from 'playwright-core';
import { chromiumArgs, missing } from '../../tools/engines.mjs';
import { decimals, median } from '../lib/figures.js';
import { atEnd, root, using } from '../lib/server.js';
import { key, Service } from '../lib/service.js';
import { markedServerColumn, type Row, runs, say, type Table, tableOf } from './table.js';

/** Messages a second, in steps of so many milliseconds. */
const [perSecond, stepMs] = [1000, 10];
/** How long each page follows, in seconds, and before that, so that V8 has compiled what it is going to. */
const [seconds, warmUpSeconds] = [10, 2];

/** What a page does to follow; `seen` counts what came. */
const pages = {
  EventSource: `
    const source = new EventSource('/feeds/prices');
    source.addEventListener('price', ({ data, lastEventId }) => see(JSON.parse(data), lastEventId));`,
  'client, by type': `
    createFeedClient({ url: '/feeds' }).follow('prices').on('price', ({ data, id }) => see(data, id));`,
  'client, for await': `
    for await (const { data, id } of createFeedClient({ url: '/feeds' }).follow('prices')) see(data, id);`,
};

interface PageRow extends Row {
  /** Seconds of the page's main thread, and of its process, in so many seconds. */
  tasks: number[];
  process: number[];
}

/** What following costs the page: the client beside `EventSource`. */
export async function page(rounds: number): Promise<Table[]> {
  if (missing().includes('chromium')) {
    say('no chromium here: what following costs a page is left out');
    return [];
  }
  const client = join(root, 'dist/client/index.js');
  if (!existsSync(client)) throw new Error(`${client} is not there: build first`);
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: chromiumArgs });
  atEnd(() => browser.close());
  const rows: PageRow[] = [];
  await using(new Service({ FEED_PATH: 'feeds' }), async (service) => {
    const isOver = { value: false };
    const publishing = publish(service, isOver);
    for (const name of Object.keys(pages)) rows.push({ name, ok: true, tasks: [], process: [] });
    for (let round = 1; round <= rounds; round += 1) {
      for (const row of rows) {
        const context = await browser.newContext();
        const { seen, tasks, process } = await measure(context, service.url, row.name as keyof typeof pages, client);
        await context.close();
        row.tasks.push(tasks);
        row.process.push(process);
        if (seen < perSecond * seconds * 0.9) row.ok = false;
        say(`round ${round}: ${row.name}: ${seen} messages, ${decimals(tasks * 100, 0)} ms of the main thread a second`);
      }
    }
    isOver.value = true;
    await publishing;
  });
  const base = rows[0] as PageRow;
  const ratio = (row: PageRow, of: 'tasks' | 'process') => median(row[of].map((value, round) => value / (base[of][round] as number)));
  return [
    tableOf(`${perSecond} messages a second in a page of Chromium, ${runs(rounds)} of ${seconds} s`, rows, [
      markedServerColumn,
      ['main thread ms/s', ({ tasks }) => decimals(((median(tasks) as number) * 1000) / seconds, 1)],
      ['process ms/s', ({ process }) => decimals(((median(process) as number) * 1000) / seconds, 1)],
      ['main thread ÷ EventSource', (row) => decimals(ratio(row, 'tasks'), 2)],
      ['process ÷ EventSource', (row) => decimals(ratio(row, 'process'), 2)],
    ]),
  ];
}

async function publish(service: Service, isOver: { readonly value: boolean }): Promise<void> {
  const begunAt = performance.now();
  for (let n = 0; !isOver.value; ) {
    const due = Math.floor(((performance.now() - begunAt) / 1000) * perSecond);
    const messages = Array.from({ length: Math.min(1000, due - n) }, (_, at) => ({
      feed: 'prices',
      type: 'price',
      data: { symbol: 'abc', price: n + at },
    }));
    n += messages.length;
    const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${key}` };
    if (messages.length > 0) await service.ask('/feeds', 'POST', headers, JSON.stringify({ messages }));
    await new Promise((resolve) => setTimeout(resolve, stepMs));
  }
}

async function measure(context: BrowserContext, url: URL, name: keyof typeof pages, client: string) {
  const code = `import { createFeedClient } from ${JSON.stringify(client)};
    let count = 0;
    let last;
    const see = (data, id) => { count += 1; last = data.price; };
    globalThis.count = () => count;
    ${pages[name]}`;
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: root },
    bundle: true,
    minify: true,
    format: 'esm',
    write: false,
  });
  await context.route('**/page', (route) =>
    route.fulfill({
      contentType: 'text/html',
      body: `<!doctype html><title>page</title><script type="module">${outputFiles[0]?.text}</script>`,
    }),
  );
  const tab = await context.newPage();
  const devtools = await context.newCDPSession(tab);
  await devtools.send('Performance.enable');
  await tab.goto(new URL('/page', url).href);
  const look = async () => {
    const { metrics } = await devtools.send('Performance.getMetrics');
    const of = (wanted: string) => metrics.find((metric) => metric.name === wanted)?.value ?? 0;
    const count = await tab.evaluate(() => (globalThis as unknown as { count(): number }).count());
    return { count, tasks: of('TaskDuration'), process: of('ProcessTime') };
  };
  await new Promise((resolve) => setTimeout(resolve, warmUpSeconds * 1000));
  const before = await look();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const after = await look();
  return { seen: after.count - before.count, tasks: after.tasks - before.tasks, process: after.process - before.process };
}
