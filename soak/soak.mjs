// The built service under churn, watched for what it leaves behind: `npm run soak`. It is described in README.md, beside this file.
import { writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { decimals, table } from '../bench/table.mjs';
import { Crowd } from './crowd.mjs';
import { Publisher } from './publisher.mjs';
import { Service } from './service.mjs';
import { until } from './until.mjs';
import { isClean, judge, leftovers, total } from './verdict.mjs';

const usage = `Usage: npm run soak -- [options]

      --minutes N        how long                                    (30)
      --rate N           connections opened a second                 (560)
      --open N           about how many of them are open at a time   (2000)
      --publish N        messages published a second                 (100)
      --slow SHARE       the part of the connections that stop reading
                                                                     (0.01)
      --adapter NAME     express or fastify                          (express)
      --json FILE        write all samples and the verdict to a file
  -h, --help             show this

Exit code: 0; 1 when something was lost or left over, or rises; 2 when it could not start. Ctrl-C ends it early, with its report.
`;

const say = (text) => process.stdout.write(`${text}\n`);
const refuse = (text) => process.stderr.write(`${text}\n`);

/** How often a sample is shown, in seconds. */
const shownEach = 10;

function readOptions() {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '30' },
      rate: { type: 'string', default: '560' },
      open: { type: 'string', default: '2000' },
      publish: { type: 'string', default: '100' },
      slow: { type: 'string', default: '0.01' },
      adapter: { type: 'string', default: 'express' },
      json: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const number = (name, least, most) => {
    const value = Number(values[name]);
    if (!(value >= least && value <= most)) throw new Error(`--${name} must be a number from ${least} to ${most}, not ${values[name]}`);
    return value;
  };
  if (!['express', 'fastify'].includes(values.adapter)) throw new Error(`--adapter must be express or fastify, not ${values.adapter}`);
  return {
    ...values,
    minutes: number('minutes', 0.1, 100_000),
    rate: number('rate', 1, 10_000),
    open: number('open', 1, 15_000),
    publish: number('publish', 1, 1000),
    slow: number('slow', 0, 1),
  };
}

const megabytes = (bytes) => decimals(bytes / 1024 ** 2, 1);

const columns = [
  ['seconds', ({ at }) => decimals(at, 0)],
  ['connections', ({ begun }) => decimals(begun, 0)],
  ['open', ({ open }) => decimals(open, 0)],
  ['RSS MB', ({ rssBytes }) => megabytes(rssBytes)],
  ['heap MB', ({ heapBytes }) => megabytes(heapBytes)],
  ['descriptors', ({ descriptors }) => decimals(descriptors, 0)],
  ['handles', ({ resources }) => decimals(total(resources), 0)],
  ['published', ({ published }) => decimals(published, 0)],
  ['delivered', ({ delivered }) => decimals(delivered, 0)],
  ['delay p99 ms', ({ delayMs }) => decimals(delayMs, 1)],
  ['faults', ({ faults }) => decimals(faults, 0)],
];

const line = (cells) => cells.map((cell, n) => cell.padStart(Math.max(9, columns[n][0].length))).join('  ');

let options;
try {
  options = readOptions();
} catch (error) {
  refuse(`${error.message}\n\n${usage}`);
  process.exit(2);
}
if (options.help) {
  say(usage);
  process.exit(0);
}

const early = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    early.abort();
    // A second one ends it at once. Not in this moment: npm passes on what the terminal has sent already.
    setTimeout(() => process.once(signal, () => process.exit(130)), 1000);
    process.on(signal, () => {});
  });
}

const service = new Service(options.adapter);
try {
  await service.listening();
} catch (error) {
  refuse(error.message);
  process.exit(2);
}
service.ended.then(() => early.abort());

const before = await service.rest();
const crowd = new Crowd(service, options);
const publisher = new Publisher(service, crowd);
const samples = [];

async function sample(at) {
  const { open, opened, bufferedBytes, eventLoopDelayMs } = await service.counts();
  const { begun, delivered, faultCount: faults } = crowd;
  const { acknowledged: published } = publisher;
  const seen = { at, begun, open, opened, published, delivered, bufferedBytes, delayMs: eventLoopDelayMs.p99, faults, ...service.sample() };
  samples.push(seen);
  if (samples.length % shownEach === 0) say(line(columns.map(([, cell]) => cell(seen))));
}

say(`${options.adapter}, ${options.minutes} minutes; Node ${process.version}, ${cpus().length} CPUs\n`);
say(line(columns.map(([name]) => name)));
crowd.start();
publisher.start(options.publish);
const begunAt = performance.now();
const seconds = () => (performance.now() - begunAt) / 1000;
while (seconds() < options.minutes * 60 && !early.signal.aborted) {
  await sleep(1000 - ((seconds() * 1000) % 1000), undefined, { signal: early.signal }).catch(() => {});
  if (service.isRunning) await sample(seconds()).catch(({ message }) => crowd.fault(`not sampled: ${message}`));
}
const lasted = seconds();
const isWhole = !early.signal.aborted;

await publisher.stop();
await crowd.settle();
await crowd.leave();
const rest = await atRest().catch(({ message }) => crowd.fault(`does not answer any more: ${message}`));
const code = await service.stop();

/** What it counts, and what it holds, once nothing is left of what was there, or when that lasts too long. */
async function atRest() {
  await until(async () => (await service.counts()).open === 0);
  const counts = await service.counts();
  let after;
  // Longer than history is kept.
  await until(async () => {
    after = await service.rest();
    return isClean(leftovers(before, after));
  }, 30_000);
  return { after, counts };
}

const verdict = judge({
  options,
  lasted,
  isWhole,
  samples,
  crowd,
  published: publisher.acknowledged,
  before,
  ...rest,
  code,
  complaints: service.complaints,
});
const ok = verdict.every((row) => row.ok);
say(
  `\n${table(
    ['what', 'figure', 'must be', 'ok'],
    verdict.map(({ what, figure, bound, ok }) => [what, figure, bound, ok ? 'ok' : 'FAILED']),
  )}`,
);
if (options.json) {
  const { json, help, ...load } = options;
  const machine = { node: process.version, kernel: release(), cpu: cpus()[0]?.model, cpus: cpus().length };
  const result = { at: new Date().toISOString(), machine, options: load, ok, lasted, verdict, before, ...rest, samples };
  writeFileSync(json, `${JSON.stringify(result, null, 2)}\n`);
}
process.exit(ok ? 0 : 1);
