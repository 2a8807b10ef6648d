// Streaming servers side by side, in one run: `npm run bench`. See load/README.md.
import { writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { adapter, flag, list, number, readOptions, text, whole } from '../lib/command.js';
import { machine } from '../lib/figures.js';
import { main } from '../lib/server.js';
import { servers } from './servers.js';
import { runs, say, type Table } from './table.js';

const output = {
  markdown: flag('tables as GitHub reads them'),
  json: text('where everything that was measured is written, by default a temporary file', 'FILE'),
};
const load = {
  connections: whole('connections held on each server', 10_000),
  period: whole('milliseconds between two chunks of a connection', 1000, 1, 1_000_000, 'MS'),
  duration: whole('seconds to hold them all, from the last opened', 20, 1, 1_000_000, 'S'),
  rounds: whole("each server's runs; the table shows medians", 3),
  routeSeconds: whole('seconds of load on an ordinary route in each round', 5),
};
const exitCodes = 'Exit code: 0; 1 when something failed; 2 when an option is wrong.';

function checkDuration({ duration, period }: { duration: number; period: number }): void {
  if (duration * 1000 < 2 * period) throw new Error('--duration must be two periods at least, or there is nothing to check');
}

type Parts = AsyncIterable<[name: string, tables: Table[]]>;

/** The servers side by side, in as many parts as are asked for. What only one part needs is loaded with that part. */
function sideBySide(): [options: Record<string, unknown>, parts: Parts] {
  const serversOf = (words: string[]) =>
    servers.filter(({ name }) => words.some((word) => name.toLowerCase().includes(word.toLowerCase())));
  const options = readOptions(
    'bench',
    {
      ...load,
      only: list('only servers whose name has one of these parts', 'A,B', '', (word) => word),
      routes: flag('only the second part: what an ordinary route loses to FeedModule; --no-routes: not that part, and so below'),
      churn: flag('only the third part: what connections that come and go leave behind'),
      fanout: flag('only the fourth part: what publishing costs'),
      history: flag('only the fifth part: what a million messages leave behind'),
      embedded: flag('only the sixth part: what a connection takes in an application with middleware and pages'),
      once: flag('only the seventh part: what a client waits for history in one answer'),
      page: flag('only the eighth part: what following costs a page, by the client and by EventSource'),
      compressed: flag('only the ninth part: what compressing messages costs and saves'),
      publish: flag('only the tenth part: what a POST costs beside a bare route, and Redis'),
      routeRounds: whole('rounds of the second part and the tenth', 5),
      chart: text('draw a chart as well', 'FILE.svg'),
      ...output,
    },
    `${exitCodes} Other benches: --scale --help, --million --help, --workers 1,2 --help, --old DIR --help`,
    ({ only, duration, period }) => {
      checkDuration({ duration, period });
      if (serversOf(only).length === 0) throw new Error(`--only ${only} names none of ${servers.map(({ name }) => name).join(', ')}`);
    },
  );
  const { connections, period, duration, rounds, only, routes, churn, fanout, history, embedded, once, page, compressed, publish, chart } =
    options;
  const run = { servers: serversOf(only), connections, duration, rounds };
  /** Whether a part is meant: one that is asked for by name leaves the others out. */
  const all = ![routes, churn, fanout, history, embedded, once, page, compressed, publish].includes(true);
  async function* parts(): Parts {
    if (all) {
      const heading = `${connections} connections, a chunk every ${period} ms, ${runs(rounds)}; Node ${process.version}, ${cpus().length} CPUs`;
      const { rows, tables } = await (await import('./streams.js')).streams(heading, period, run);
      yield ['streams', tables];
      if (chart) {
        writeFileSync(chart, (await import('./chart.js')).chart(rows, heading));
        say(`chart: ${resolve(chart)}`);
      }
    }
    if (routes ?? all) yield ['routes', await (await import('./routes.js')).routes(options.routeRounds, options.routeSeconds)];
    if (churn ?? all) yield ['churn', await (await import('./memory.js')).churn()];
    if (fanout ?? all) yield ['fanout', await (await import('./fanout.js')).fanout(run)];
    if (history ?? all) yield ['history', await (await import('./memory.js')).history()];
    if (embedded ?? all) yield ['embedded', await (await import('./embedded.js')).embedded(connections, rounds)];
    if (page ?? all) yield ['page', await (await import('./page.js')).page(rounds)];
    if (compressed ?? all) yield ['compressed', await (await import('./compressed.js')).compressed(connections, rounds)];
    if (once ?? all) yield ['once', await (await import('./history-answer.js')).historyAnswer(rounds)];
    if (publish ?? all) yield ['publish', await (await import('./publish.js')).publish(options.routeRounds, options.routeSeconds)];
  }
  return [options, parts()];
}

/** Workers on one machine, at ever higher rates. */
function workersAlone(): ReturnType<typeof sideBySide> {
  const rates = Array.from({ length: 13 }, (_, n) => (n + 4) * 10_000).join(',');
  const atLeastOne = (word: string) => {
    if (!(Number(word) >= 1)) throw new Error('must be numbers from 1');
    return Number(word);
  };
  const options = readOptions(
    'bench',
    {
      workers: list('numbers of workers', 'A,B', '1,2', atLeastOne),
      adapter: adapter(),
      connections: whole('connections', 4000),
      seconds: whole('how long each rate is held', 15),
      rates: list('chunks a second that are tried in turn', 'A,B', rates, atLeastOne),
      ...output,
    },
    exitCodes,
  );
  async function* parts(): Parts {
    yield ['workers', await (await import('./workers.js')).workers(options)];
  }
  return [options, parts()];
}

/** As many connections as a machine holds. */
function atScale(part: 'scale' | 'million'): ReturnType<typeof sideBySide> {
  const [connections, rate, broadcasts, retry] = part === 'scale' ? [96_000, 3000, 5, 0] : [1_000_000, 1500, 1, 3000];
  const options = readOptions(
    'bench',
    {
      [part]: flag(part === 'scale' ? 'a broadcast to many connections, and a chunk a second to each' : 'as many as the machine allows'),
      connections: whole('connections', connections, 100),
      rate: whole('connections opened a second', rate, 1, 100_000),
      workers: whole('workers; 0: as many as descriptors demand', 0, 0, 64),
      adapter: adapter(),
      seconds: whole('how long the connections are held', 60, 3),
      broadcasts: whole('broadcasts', broadcasts, 1, 1000),
      retry: whole('when a client comes back that was refused or dropped; 0: never', retry, 0, 1_000_000, 'MS'),
      spare: number('memory that is left to others: no more connections are opened when less is available', 2, 0.1, 1000, 'GB'),
      ...output,
    },
    exitCodes,
  );
  async function* parts(): Parts {
    const { workers, spare, ...others } = options;
    const measure = (await import('./scale.js'))[part];
    yield [part, await measure({ ...others, workers: workers || undefined, spareBytes: spare * 1024 ** 3 })];
  }
  return [options, parts()];
}

/** This build against another one. */
function oldAndNew(): ReturnType<typeof sideBySide> {
  const directory = text('a checkout that is built, with its dist and node_modules', 'DIR');
  const options = readOptions('bench', { old: directory, ...load, ...output }, exitCodes, checkDuration);
  async function* parts(): Parts {
    yield ['compare', await (await import('./compare.js')).compare({ ...options, old: options.old ?? '.' })];
  }
  return [options, parts()];
}

const isAsked = (name: string) => process.argv.some((argument) => argument === name || argument.startsWith(`${name}=`));

function asked(): ReturnType<typeof sideBySide> {
  if (isAsked('--scale')) return atScale('scale');
  if (isAsked('--million')) return atScale('million');
  if (isAsked('--workers')) return workersAlone();
  return isAsked('--old') ? oldAndNew() : sideBySide();
}

const [options, parts] = asked();

await main(async () => {
  const result: Record<string, unknown> = { at: new Date().toISOString(), machine, options };
  const rows: Table['rows'][number][] = [];
  for await (const [key, measured] of parts) {
    for (const { heading, rows: some, text: tableText } of measured) {
      process.stdout.write(`\n${heading}\n\n${tableText(options.markdown === true)}\n`);
      for (const { name, faults = [] } of some) for (const fault of faults) process.stdout.write(`${name}, ${fault}\n`);
      rows.push(...some);
    }
    result[key] = measured.map(({ heading, rows }) => ({ heading, rows }));
  }
  const file = resolve(`${options.json ?? join(tmpdir(), `nestjs-feed-bench-${process.pid}.json`)}`);
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
  say(`\neverything that was measured: ${file}`);
  return rows.length > 0 && rows.every(({ ok }) => ok);
});
