// Streaming servers side by side, in one run: `npm run bench`. The method is in README.md, beside this file.
import { writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { servers } from './servers.mjs';

const usage = `Usage: npm run bench -- [options]

      --connections N     connections held on each server                 (10000)
      --period MS         milliseconds between two chunks of a connection (1000)
      --duration S        seconds to hold them all, from the last opened  (20)
      --rounds N          each server's runs; the table shows medians     (3)
      --only A,B          only servers whose name has one of these parts
      --routes            only the second part: what an ordinary route loses to FeedModule
      --no-routes         not the second part
      --churn             only the third part: what connections that come and go leave behind
      --no-churn          not the third part
      --fanout            only the fourth part: what publishing costs
      --no-fanout         not the fourth part
      --history           only the fifth part: what a million messages leave behind
      --no-history        not the fifth part
      --route-rounds N    its rounds                                      (5)
      --route-seconds S   seconds of load in each                         (5)
      --markdown          tables as GitHub reads them
      --json FILE         where everything that was measured is written   (a file in the directory for temporary ones)
      --chart FILE.svg    draw a chart as well
  -h, --help              show this

Exit code: 0; 1 when a server failed its flood, or a route its requests; 2 when an option is wrong.
`;

function whole(name, text, least) {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least) throw new Error(`--${name} must be a whole number from ${least}, not ${text}`);
  return value;
}

function isMeant(name, only) {
  return only.split(',').some((part) => name.toLowerCase().includes(part.trim().toLowerCase()));
}

function runs(count) {
  return count === 1 ? 'one run' : `medians of ${count} runs`;
}

function readOptions() {
  const { values } = parseArgs({
    allowNegative: true,
    options: {
      connections: { type: 'string', default: '10000' },
      period: { type: 'string', default: '1000' },
      duration: { type: 'string', default: '20' },
      rounds: { type: 'string', default: '3' },
      only: { type: 'string', default: '' },
      routes: { type: 'boolean' },
      churn: { type: 'boolean' },
      fanout: { type: 'boolean' },
      history: { type: 'boolean' },
      'route-rounds': { type: 'string', default: '5' },
      'route-seconds': { type: 'string', default: '5' },
      markdown: { type: 'boolean', default: false },
      json: { type: 'string', default: join(tmpdir(), `nestjs-feed-bench-${process.pid}.json`) },
      chart: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const options = {
    ...values,
    connections: whole('connections', values.connections, 1),
    period: whole('period', values.period, 1),
    duration: whole('duration', values.duration, 1),
    rounds: whole('rounds', values.rounds, 1),
    routeRounds: whole('route-rounds', values['route-rounds'], 1),
    routeSeconds: whole('route-seconds', values['route-seconds'], 1),
    servers: servers.filter(({ name }) => isMeant(name, values.only)),
  };
  if (options.servers.length === 0) throw new Error(`--only ${values.only} names none of ${servers.map(({ name }) => name).join(', ')}`);
  if (options.duration * 1000 < 2 * options.period)
    throw new Error('--duration must be two periods at least, or there is nothing to check');
  return options;
}

function say(line) {
  console.error(line);
}

let options;
try {
  options = readOptions();
} catch (error) {
  say(`${error.message}\n\n${usage}`);
  process.exit(2);
}
if (options.help) {
  console.log(usage);
  process.exit(0);
}

const { connections, period, duration, rounds, markdown } = options;
const result = {
  at: new Date().toISOString(),
  machine: { node: process.version, kernel: release(), cpu: cpus()[0]?.model, cpus: cpus().length },
  options: { connections, period, duration, rounds },
};
const setting = `${connections} connections, a chunk every ${period} ms, ${runs(rounds)}; Node ${process.version}, ${cpus().length} CPUs`;

/** Whether a part is meant: one that is asked for by name leaves the others out. */
const only = [options.routes, options.churn, options.fanout, options.history].includes(true);

function tellFaults(rows) {
  for (const { name, runs } of rows)
    for (const [n, { faults }] of runs.entries()) if (faults.length > 0) console.log(`${name}, round ${n + 1}: ${faults.join('; ')}`);
}

// What only one part needs is loaded with that part.
if (!only) {
  const { streams, streamsTable } = await import('./streams.mjs');
  result.streams = await streams({ servers: options.servers, connections, period, duration, rounds }, say);
  console.log(`\n${setting}\n\n${streamsTable(result.streams, markdown)}`);
  tellFaults(result.streams);
  if (options.chart) {
    const { chart } = await import('./chart.mjs');
    writeFileSync(options.chart, chart(result.streams, setting));
    say(`chart: ${resolve(options.chart)}`);
  }
}
if (options.routes ?? !only) {
  const { routes, routesTable } = await import('./routes.mjs');
  result.routes = await routes({ rounds: options.routeRounds, seconds: options.routeSeconds }, say);
  const heading = `an ordinary route with FeedModule and without, ${runs(options.routeRounds)}`;
  console.log(`\n${heading}\n\n${routesTable(result.routes, markdown)}`);
}
if (options.churn ?? !only) {
  const { churn, churnTable } = await import('./churn.mjs');
  const visitors = { visits: 200_000, open: 2000, first: 20_000 };
  result.churn = await churn(visitors, say);
  console.log(`\n${visitors.visits} connections, ${visitors.open} open at a time\n\n${churnTable(result.churn, visitors, markdown)}`);
}
if (options.fanout ?? !only) {
  const { fanout, toAllTable, toOneTable } = await import('./fanout.mjs');
  const publishes = { toAll: 4, toOne: 1000 };
  result.fanout = await fanout({ servers: options.servers, connections, duration, rounds, ...publishes }, say);
  const { all, one } = result.fanout;
  const tables = [
    [`${publishes.toAll} publishes a second to a feed with ${connections} followers`, all, toAllTable],
    [`${publishes.toOne} publishes a second to random ones of ${connections} feeds with a follower each`, one, toOneTable],
  ];
  for (const [heading, rows, tableOf] of tables.filter(([, rows]) => rows.length > 0)) {
    console.log(`\n${heading}, ${runs(rounds)}\n\n${tableOf(rows, markdown)}`);
    tellFaults(rows);
  }
}
if (options.history ?? !only) {
  const { history, historyTable } = await import('./history.mjs');
  const load = { messages: 1_000_000, feeds: 1000, bytes: 200 };
  result.history = await history(load, say);
  const heading = `${load.messages} messages of ${load.bytes} bytes to ${load.feeds} feeds that nobody follows`;
  console.log(`\n${heading}\n\n${historyTable(result.history, markdown)}`);
}

writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`);
say(`\neverything that was measured: ${resolve(options.json)}`);
const rows = [
  ...(result.streams ?? []),
  ...(result.routes ?? []),
  ...(result.churn ?? []),
  ...Object.values(result.fanout ?? {}).flat(),
  ...(result.history ?? []),
];
process.exitCode = rows.length > 0 && rows.every(({ ok }) => ok) ? 0 : 1;
