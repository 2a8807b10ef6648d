// The built service under churn, watched for what it leaves behind: `npm run soak`. See load/README.md.
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { adapter, number, readOptions, text } from '../lib/command.js';
import type { Feed } from '../lib/feed.js';
import { checkTable, decimals, inMegabytes, machine } from '../lib/figures.js';
import { Publisher } from '../lib/publisher.js';
import { sleep, until } from '../lib/waits.js';
import { SoakCrowd } from './crowd.js';
import { isClean, judge, total } from './verdict.js';
import { type Held, WatchedService } from './watched-service.js';

/** How often a sample is shown, in seconds. */
const shownEach = 10;
/** Posts under way at the most: a service that is dead must not pile up more. */
const maxPosts = 16;
/** The slow readers' feed: bytes of each message, and messages a second. */
const [bulkBytes, bulkRate] = [60_000, 8];

const say = (line: string) => process.stdout.write(`${line}\n`);

const options = readOptions(
  'soak',
  {
    minutes: number('how long', 30, 0.1, 100_000),
    rate: number('connections opened a second', 560, 1, 10_000),
    open: number('about how many of them are open at a time', 2000, 1, 15_000),
    publish: number('messages published a second', 100, 1, 1000),
    slow: number('the part of the connections that stop reading', 0.01, 0, 1, 'SHARE'),
    adapter: adapter(),
    json: text('write all samples and the verdict to a file', 'FILE'),
  },
  'Exit code: 0; 1 when something was lost or left over, or rises; 2 when it could not start. Ctrl-C ends it early, with its report.',
);

const early = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    early.abort();
    // A second one ends it at once. Not in this moment: npm passes on what the terminal has sent already.
    setTimeout(() => process.once(signal, () => process.exit(130)), 1000);
    process.on(signal, () => {});
  });
}

const service = await new WatchedService(options.adapter).listening().catch(({ message }) => {
  process.stderr.write(`${message}\n`);
  process.exit(2);
});
service.ended.then(() => early.abort());

const before = await service.rest();
const crowd = new SoakCrowd(service.url, options);
const publisher = new Publisher(async ({ name }: Feed, message) => {
  const why = await service.publish(name, message);
  if (why) crowd.faults.add(`a publish ${why}`);
  return why === undefined;
});

async function sample(at: number) {
  const { open, opened, bufferedBytes, eventLoopDelayMs } = await service.counts();
  const { begun, received: delivered } = crowd;
  const { acknowledged: published } = publisher;
  const faults = crowd.faults.count;
  return { at, begun, open, opened, published, delivered, bufferedBytes, delayMs: eventLoopDelayMs.p99, faults, ...service.sample() };
}

type Sample = Awaited<ReturnType<typeof sample>>;

const columns: [head: string, cell: (sample: Sample) => string][] = [
  ['seconds', ({ at }) => decimals(at)],
  ['connections', ({ begun }) => decimals(begun)],
  ['open', ({ open }) => decimals(open)],
  ['RSS MB', ({ rssBytes }) => inMegabytes(rssBytes)],
  ['heap MB', ({ heapBytes }) => inMegabytes(heapBytes)],
  ['descriptors', ({ descriptors }) => decimals(descriptors)],
  ['handles', ({ resources }) => decimals(total(resources))],
  ['published', ({ published }) => decimals(published)],
  ['delivered', ({ delivered }) => decimals(delivered)],
  ['delay p99 ms', ({ delayMs }) => decimals(delayMs, 1)],
  ['faults', ({ faults }) => decimals(faults)],
];
// The table grows while it is shown.
const sayLine = (cells: string[]) => say(cells.map((cell, n) => cell.padStart(Math.max(9, columns[n][0].length))).join('  '));

say(`${options.adapter}, ${options.minutes} minutes; Node ${process.version}, ${cpus().length} CPUs\n`);
sayLine(columns.map(([head]) => head));
crowd.start();
// Most messages are short.
const someBytes = () => 32 + Math.floor(Math.random() ** 4 * 4000);
publisher.start(options.publish, () => (publisher.underWay < maxPosts ? crowd.freeFeed() : undefined), someBytes);
publisher.start(
  bulkRate,
  () => (crowd.bulk.isBusy ? undefined : crowd.bulk),
  () => bulkBytes,
);

const samples: Sample[] = [];
const begunAt = performance.now();
const seconds = () => (performance.now() - begunAt) / 1000;
while (seconds() < options.minutes * 60 && !early.signal.aborted) {
  await sleep(1000 - ((seconds() * 1000) % 1000), undefined, { signal: early.signal }).catch(() => {});
  if (!service.isRunning) continue;
  try {
    samples.push(await sample(seconds()));
    if (samples.length % shownEach === 0) sayLine(columns.map(([, cell]) => cell(samples[samples.length - 1])));
  } catch (error) {
    crowd.faults.add(`not sampled: ${(error as Error).message}`);
  }
}
const lasted = seconds();
const isWhole = !early.signal.aborted;

/** What the service counts, and what it holds, once nothing is left of what was there, or when that lasts too long. */
async function atRest() {
  await until(async () => (await service.counts()).open === 0);
  const counts = await service.counts();
  let after: Held | undefined;
  // Longer than history is kept.
  await until(async () => {
    after = await service.rest();
    return isClean(before, after);
  }, 30_000);
  return { after, counts };
}

await publisher.stop();
await crowd.settle();
await crowd.leave();
const rest = await atRest().catch(({ message }) => crowd.faults.add(`does not answer any more: ${message}`));
service.hangUp();
const code = await service.stop();

const { acknowledged: published } = publisher;
const { complaints } = service;
const verdict = judge({ options, lasted, isWhole, samples, crowd, published, before, ...rest, code, complaints });
const ok = verdict.every((row) => row.ok);
say(`\n${checkTable(verdict)}`);
if (options.json) {
  const { json, ...load } = options;
  const result = { at: new Date().toISOString(), machine, options: load, ok, lasted, verdict, before, ...rest, samples };
  writeFileSync(json, `${JSON.stringify(result, null, 2)}\n`);
}
process.exit(ok ? 0 : 1);
