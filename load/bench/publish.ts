import autocannon from 'autocannon';
import { Engine, missing } from '../../tools/engines.mjs';
import { type Column, decimals, median, okColumn } from '../lib/figures.js';
import { atEnd, cpuMs, root, Server, using } from '../lib/server.js';
import { peer } from './servers.js';
import { type Row, runs, say, type Table, tableOf } from './table.js';

/** Keep-alive connections, each with one request on its way at a time. */
const connections = 32;
/** Publications of a run to Redis. */
const publications = 20_000;
/** What a client publishes: 100 bytes of JSON. */
const body = JSON.stringify({ symbol: 'abc', price: 123.45, text: ''.padEnd(60, 'x') });

/** What a publication costs beside the least that it could, round by round, in microseconds of CPU time. */
interface PublishRow extends Row {
  least: number[];
  found: number[];
  faults: string[];
  /** What must not exceed a bound: a ratio, or microseconds. */
  bound: number;
  figure(row: PublishRow): number;
  unit: string;
}

const ratio = ({ least, found }: PublishRow) => median(found.map((micros, round) => micros / least[round])) ?? Number.NaN;
const micros = ({ found }: PublishRow) => median(found) ?? Number.NaN;

/** CPU time that a process has for each of the things that are done, in microseconds. */
async function microsEach(pid: number, work: () => Promise<number>): Promise<number> {
  const before = cpuMs(pid);
  const count = await work();
  return ((cpuMs(pid) - before) * 1000) / count;
}

/** Posts for some seconds: how many were answered. */
async function post(url: URL, path: string, duration: number, faults: string[]): Promise<number> {
  const headers = { 'content-type': 'application/json', authorization: 'Bearer bench' };
  const { requests, errors, non2xx } = await autocannon({
    url: new URL(path, url).href,
    method: 'POST',
    headers,
    body,
    connections,
    duration,
  });
  if (errors + non2xx > 0) faults.push(`${errors + non2xx} requests to ${path} failed`);
  return requests.total;
}

/** A POST beside a route that reads the same body, in the same process. */
async function posts(platform: string, bound: number, rounds: number, seconds: number, folder: string): Promise<PublishRow> {
  const row: PublishRow = {
    name: `POST, Nest on ${platform}`,
    ok: true,
    least: [],
    found: [],
    faults: [],
    bound,
    figure: ratio,
    unit: '×',
  };
  await using(new Server(peer('nest-publish', platform, folder, 'memory')), async ({ url, pid }) => {
    const bare = () => post(url, '/bare/orders', seconds, row.faults);
    const published = () => post(url, '/feeds/orders', seconds, row.faults);
    await bare(); // V8 compiles what it is going to
    await published();
    for (let round = 1; round <= rounds; round += 1) {
      row.least.push(await microsEach(pid, bare));
      row.found.push(await microsEach(pid, published));
      say(`round ${round}: ${row.name}: ${decimals(row.found.at(-1), 1)} µs, ${decimals(row.least.at(-1), 1)} µs the bare route`);
    }
  });
  return row;
}

/** What a publication costs Redis, beside the two commands alone. */
async function toRedis(bound: number, rounds: number, folder: string): Promise<PublishRow> {
  const row: PublishRow = { name: 'Redis, 64 in flight', ok: true, least: [], found: [], faults: [], bound, figure: micros, unit: 'µs' };
  const redis = await Engine.start('redis');
  atEnd(() => redis.stop());
  await using(new Server(peer('nest-publish', 'fastify', folder, redis.url)), async ({ url }) => {
    const ask = async (path: string) => {
      const response = await fetch(new URL(`${path}?count=${publications}`, url), { method: 'POST' });
      if (!response.ok) throw new Error(`${path} was answered with status ${response.status}`);
      return ((await response.json()) as { count: number }).count;
    };
    for (let round = 1; round <= rounds; round += 1) {
      row.least.push(await microsEach(redis.pid, () => ask('/commands')));
      row.found.push(await microsEach(redis.pid, () => ask('/publish')));
      say(`round ${round}: ${row.name}: ${decimals(row.found.at(-1), 1)} µs, ${decimals(row.least.at(-1), 1)} µs XADD and SPUBLISH alone`);
    }
  });
  return row;
}

/** What a publication costs the process that takes it, and Redis. */
export async function publish(rounds: number, seconds: number, folder = root): Promise<Table[]> {
  const rows = [await posts('express', 1.2, rounds, seconds, folder), await posts('fastify', 1.4, rounds, seconds, folder)];
  if (missing().includes('redis-server')) say('no redis-server here: its row is left out');
  else rows.push(await toRedis(14, rounds, folder));
  for (const row of rows) {
    if (row.figure(row) > row.bound) row.faults.push(`${decimals(row.figure(row), 2)} ${row.unit} is more than ${row.bound}`);
    row.ok = row.faults.length === 0;
  }
  const columns: Column<PublishRow>[] = [
    ['a publication', ({ name }) => name],
    ['µs CPU', ({ found }) => decimals(median(found), 1)],
    ['least µs', ({ least }) => decimals(median(least), 1)],
    ['figure', (row) => `${decimals(row.figure(row), 2)} ${row.unit}`],
    ['must be', ({ bound, unit }) => `≤ ${bound} ${unit}`],
    okColumn,
  ];
  return [
    tableOf(`what a publication costs, beside a route that reads the same body and two commands of Redis, ${runs(rounds)}`, rows, columns),
  ];
}
