// Several nodes on one engine, with everything going wrong while messages are published: `npm run chaos`. See load/README.md.
import { adapter, choice, flag, number, optional, readOptions, whole } from '../lib/command.js';
import { Feed } from '../lib/feed.js';
import { decimals } from '../lib/figures.js';
import { inTurn, Publisher } from '../lib/publisher.js';
import { main } from '../lib/server.js';
import { sleep } from '../lib/waits.js';
import { lostFromEngine } from './lost-from-engine.js';
import { natsLeaders } from './nats-leaders.js';
import { loneliness, memory, nats, natsLoneliness, oneWay, rdbRestart, redis, slowLink } from './one-server.js';
import { promotion, splitBrain } from './sentinels.js';
import { type Engine, Stage } from './stage.js';
import { figures, judge } from './verdict.js';

/** One feed in so many is followed, and nothing is published to it. */
const quietEach = 10;
/** How many messages of a feed may be under way at a time that have keys: they are stored in any order. */
const mostUnderWay = 20;
/** Connections opened a second. */
const rate = 5000;

/** What nodes share, and how that fails. */
const engines: Record<string, (stage: Stage) => Promise<Engine>> = {
  redis,
  nats,
  memory,
  'rdb-restart': rdbRestart,
  promotion,
  'split-brain': splitBrain,
  'one-way': oneWay,
  'slow-link': slowLink,
  'nats-leaders': natsLeaders,
  'lost-nodes': loneliness,
  'nats-lost-nodes': natsLoneliness,
};

const say = (line: string) => process.stdout.write(`${line}\n`);

const options = readOptions(
  'chaos',
  {
    engine: choice('what the nodes share, and how that fails', Object.keys(engines) as [string, ...string[]]),
    minReplicas: flag('promotion, split-brain: a master without a replica takes no messages'),
    roundTripMs: number('slow-link: milliseconds there and back', 10, 0.1, 1000, 'MS'),
    minutes: number('how long', 1, 0.1, 10_000),
    nodes: whole('processes of the service; memory: one', 3, 2, 16),
    followers: whole('connections', 2000, 1, 15_000),
    feeds: whole('feeds that they follow', 400, 1, 15_000),
    publish: whole('messages published a second', 400, 1, 10_000),
    messages: optional(whole('with --keys: messages published in all, however long that takes', 1, 1, 10_000_000)),
    messageBytes: whole('bytes of a message, if it is not longer by itself', 0, 0, 60_000),
    keys: flag('messages have keys, are published in any order, and again until they are acknowledged, some also after that'),
    adapter: adapter(),
    calm: flag('nothing goes wrong: for the latency'),
  },
  'Exit code: 0; 1 when a follower lost a message that was acknowledged and was not told, or got one twice or out of order, or when the presence of a feed is not what the followers know; 2 when it could not start.',
  ({ keys, messages }) => {
    if (messages !== undefined && !keys) throw new Error('--messages goes with --keys');
  },
);
const { engine: name, minutes } = options;

/** Has everything go wrong at its time, again and again. */
async function play(stage: Stage, { disasters }: Engine, publisher: Publisher): Promise<void> {
  const { crowd } = stage;
  const begunAt = performance.now();
  const inOrder = options.calm ? [] : [...disasters].sort(([one], [other]) => one - other);
  const roundMs = Math.min(60_000, minutes * 60_000);
  const rounds = Math.max(1, Math.round((minutes * 60_000) / roundMs));
  const { messages = 0 } = options;
  for (let round = 0; round < rounds || publisher.answered < messages; round += 1) {
    const reach = (share: number) => sleep(Math.max(0, begunAt + (round + share) * roundMs - performance.now()));
    for (const [share, what, happen] of inOrder) {
      await reach(share);
      crowd.latencies = undefined;
      const at = decimals((performance.now() - begunAt) / 1000, 1);
      await happen();
      say(`${at.padStart(7)} s  ${what}; ${crowd.open} open, ${publisher.acknowledged} acknowledged, ${crowd.received} received`);
    }
    await reach(1);
  }
}

await main(async () => {
  const stage = new Stage({ ...options, nodes: name === 'memory' ? 1 : options.nodes });
  const { crowd } = stage;
  const engine = await engines[name](stage);
  await stage.start(engine);
  const feeds = Array.from({ length: options.feeds }, (_, n) => new Feed(`chaos/${n + 1}`, options.keys ? mostUnderWay : 1));
  await crowd.gather(options.followers, feeds, rate);
  const load = `${crowd.open} followers of ${feeds.length} feeds, ${options.publish} messages a second`;
  say(`${crowd.nodes.length} × ${options.adapter}, ${name}: ${load}`);

  const publisher = new Publisher(stage.publish);
  const loud = feeds.filter((_, n) => (n + 1) % quietEach !== 0);
  const calm: number[] = [];
  crowd.latencies = calm;
  publisher.start(options.publish, inTurn(loud), () => options.messageBytes, options.messages);
  await play(stage, engine, publisher);
  await publisher.stop();
  await stage.repeater?.settled();
  await stage.areStarted();
  const isWhole = await crowd.areAllOpen(60_000);
  await crowd.settle();
  const losses = await lostFromEngine(crowd.anyNode(), loud, options);
  // Every other feed is left for good.
  crowd.dismiss(feeds.filter((_, n) => n % 2 === 1));
  const presence = await stage.presence.judge(crowd, feeds);
  crowd.leave();

  const run = { engine, stage, publisher, calm, isWhole, losses, presence };
  const { text, ok } = judge(run);
  say(`${figures(run)}\n\n${text}`);
  return ok;
}, 2);
