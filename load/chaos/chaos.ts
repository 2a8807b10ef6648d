// Several nodes on one engine, with everything going wrong while messages are published: `npm run chaos`. See load/README.md.
import { Engine } from '../../tools/engines.mjs';
import { Link } from '../../tools/link.mjs';
import { adapter, choice, flag, number, readOptions, whole } from '../lib/command.js';
import { Feed } from '../lib/feed.js';
import { type Column, decimals, percentile, table } from '../lib/figures.js';
import { sleep } from '../lib/pace.js';
import { inTurn, Publisher } from '../lib/publisher.js';
import { RoamingCrowd, startNode } from '../lib/roaming.js';
import { atEnd, main } from '../lib/server.js';

/** One feed in so many is followed, and nothing is published to it. */
const quietEach = 10;
/** Connections opened a second. */
const rate = 5000;

const say = (line: string) => process.stdout.write(`${line}\n`);

const options = readOptions(
  'chaos',
  {
    broker: choice('what the nodes share; memory: one node', ['redis', 'nats', 'memory']),
    minutes: number('how long', 1, 0.1, 10_000),
    nodes: whole('processes of the service', 3, 2, 16),
    followers: whole('connections', 9000, 1, 15_000),
    feeds: whole('feeds that they follow', 1000, 1, 15_000),
    publish: whole('messages published a second', 1000, 1, 10_000),
    messageBytes: whole('bytes of a message, if it is not longer by itself', 0, 0, 60_000),
    adapter: adapter(),
    calm: flag('nothing goes wrong: for the latency'),
  },
  'Exit code: 0; 1 when a follower lost a message that was acknowledged, or got one twice or out of order; 2 when it could not start.',
);
const { broker, minutes } = options;

type Disaster = [share: number, what: string, happen: () => unknown];

/** Starts the engine and all nodes; returns what goes wrong with them in a round, and when, in parts of its time. */
async function prepare(crowd: RoamingCrowd): Promise<Disaster[]> {
  const addNode = async (name: string, url: string) => {
    crowd.nodes.push(await startNode(name, { FEED_ADAPTER: options.adapter, FEED_BROKER: url, FEED_BUFFER_BYTES: '65536' }));
  };
  const [first, last]: Disaster[] = [
    [0.1, 'a tenth of the connections is cut', () => crowd.sever(0.1)],
    [0.85, 'all connections are cut', () => crowd.sever(1)],
  ];
  if (broker === 'memory') {
    await addNode('1', broker);
    return [first, last];
  }
  const engine = await Engine.start(broker);
  atEnd(() => engine.stop());
  const link = await Link.to(engine.port);
  atEnd(() => link.close());
  const add = (n: number) => addNode(`${n}`, n === 2 ? engine.url.replace(`:${engine.port}`, `:${link.port}`) : engine.url);
  for (let n = 1; n <= options.nodes; n += 1) await add(n);
  return [
    first,
    [0.17, `node ${options.nodes} is killed`, () => crowd.nodes.pop()?.stop('SIGKILL')],
    [0.27, `node ${options.nodes} is started again`, () => add(options.nodes)],
    // Before the engine is killed: with every connection that is made again, no feed counts as silent any more.
    [0.32, `node 2 is cut off from ${broker}`, () => link.cut()],
    [0.49, 'node 2 is let through again', () => link.mend()],
    [0.62, `${broker} is killed`, () => engine.kill()],
    [0.67, `${broker} is started again`, () => engine.restart()],
    last,
  ];
}

await main(async () => {
  const crowd = new RoamingCrowd([]);
  const disasters = await prepare(crowd);
  const feeds = Array.from({ length: options.feeds }, (_, n) => new Feed(`chaos/${n + 1}`));
  await crowd.gather(options.followers, feeds, rate);
  const load = `${crowd.open} followers of ${feeds.length} feeds, ${options.publish} messages a second`;
  say(`${crowd.nodes.length} × ${options.adapter} on ${broker}: ${load}`);

  const publisher = new Publisher(crowd.publish);
  const loud = feeds.filter((_, n) => (n + 1) % quietEach !== 0);
  const calm: number[] = [];
  crowd.latencies = calm;
  const begunAt = performance.now();
  publisher.start(options.publish, inTurn(loud), () => options.messageBytes);
  const roundMs = Math.min(60_000, minutes * 60_000);
  const rounds = Math.max(1, Math.round((minutes * 60_000) / roundMs));
  for (let round = 0; round < rounds; round += 1) {
    const reach = (share: number) => sleep(Math.max(0, begunAt + (round + share) * roundMs - performance.now()));
    for (const [share, what, happen] of options.calm ? [] : disasters) {
      await reach(share);
      crowd.latencies = undefined;
      const at = decimals((performance.now() - begunAt) / 1000, 1);
      await happen();
      say(`${at.padStart(7)} s  ${what}; ${crowd.open} open, ${publisher.acknowledged} acknowledged, ${crowd.received} received`);
    }
    await reach(1);
  }
  await publisher.stop();
  const isWhole = await crowd.areAllOpen(30_000);
  await crowd.settle();
  const { open } = crowd;
  crowd.leave();

  const [p50, p99, max] = [0.5, 0.99, 1].map((share) => decimals(percentile(calm, share), 1));
  const rows: [what: string, figure: string][] = [
    ['published and acknowledged', decimals(publisher.acknowledged)],
    ['published, not acknowledged', decimals(publisher.unacknowledged)],
    ['received', decimals(crowd.received)],
    ['connections made again', decimals(crowd.reconnects)],
    ['of those refused (503)', decimals(crowd.rejected)],
    ['publish to receive, while all was well', `p50 ${p50}, p99 ${p99}, max ${max} ms`],
    ...[...crowd.faults].map(([what, count]): [string, string] => [what, decimals(count)]),
  ];
  const columns: Column<(typeof rows)[number]>[] = [
    ['', ([what]) => what],
    [broker, ([, figure]) => figure],
  ];
  say(table(columns, rows));
  if (!isWhole) say(`only ${open} followers are connected in the end`);
  return crowd.faults.count === 0 && isWhole && publisher.acknowledged > 0;
}, 2);
