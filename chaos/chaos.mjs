// Several nodes on one engine, with everything going wrong while messages are published: `npm run chaos`. See README.md, beside this file.
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { decimals, table } from '../bench/table.mjs';
import { until } from '../soak/until.mjs';
import { Engine } from '../tools/engines.mjs';
import { Link } from '../tools/link.mjs';
import { Feed } from './feed.mjs';
import { Followers } from './followers.mjs';
import { Node } from './node.mjs';
import { Publisher } from './publisher.mjs';

const usage = `Usage: npm run chaos -- [options]

      --broker NAME      redis, nats, or memory (one node)           (redis)
      --minutes N        how long                                    (1)
      --nodes N          processes of the service                    (3)
      --followers N      connections                                 (9000)
      --feeds N          feeds that they follow                      (1000)
      --publish N        messages published a second                 (1000)
      --message-bytes N  bytes of a message, if it is not longer by itself (0)
      --adapter NAME     express or fastify                          (express)
      --calm             nothing goes wrong: for the latency
  -h, --help             show this

Exit code: 0; 1 when a follower lost a message that was acknowledged, or got one twice or out of order; 2 when it could not start.
`;

/** One feed in so many is followed, and nothing is published to it. */
const quietEach = 10;

const say = (text) => process.stdout.write(`${text}\n`);

function readOptions() {
  const { values } = parseArgs({
    options: {
      broker: { type: 'string', default: 'redis' },
      minutes: { type: 'string', default: '1' },
      nodes: { type: 'string', default: '3' },
      followers: { type: 'string', default: '9000' },
      feeds: { type: 'string', default: '1000' },
      publish: { type: 'string', default: '1000' },
      'message-bytes': { type: 'string', default: '0' },
      adapter: { type: 'string', default: 'express' },
      calm: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const number = (name, least, most) => {
    const value = Number(values[name]);
    if (!(value >= least && value <= most)) throw new Error(`--${name} must be a number from ${least} to ${most}, not ${values[name]}`);
    return value;
  };
  const oneOf = (name, allowed) => {
    if (!allowed.includes(values[name])) throw new Error(`--${name} must be ${allowed.join(', ')}, not ${values[name]}`);
    return values[name];
  };
  return {
    ...values,
    broker: oneOf('broker', ['redis', 'nats', 'memory']),
    adapter: oneOf('adapter', ['express', 'fastify']),
    minutes: number('minutes', 0.1, 10_000),
    nodes: values.broker === 'memory' ? 1 : number('nodes', 2, 16),
    followers: number('followers', 1, 15_000),
    feeds: number('feeds', 1, 15_000),
    publish: number('publish', 1, 10_000),
    messageBytes: number('message-bytes', 0, 60_000),
  };
}

/** What goes wrong in a round, and when, in parts of its time. */
function disasters({ engine, link, nodes, followers }) {
  const last = nodes.at(-1);
  const cut = nodes.length > 1 ? nodes[1] : undefined;
  const several = nodes.length > 1;
  return [
    [0.1, 'a tenth of the connections is cut', () => followers.sever(0.1)],
    several && [0.17, `node ${last.name} is killed`, () => last.kill()],
    several && [0.27, `node ${last.name} is started again`, () => last.restart()],
    // Before the engine is killed: with every connection that is made again, no feed counts as silent any more.
    link && [0.32, `node ${cut.name} is cut off from ${engine.kind}`, () => link.cut()],
    link && [0.49, `node ${cut.name} is let through again`, () => link.mend()],
    engine && [0.62, `${engine.kind} is killed`, () => engine.kill()],
    engine && [0.67, `${engine.kind} is started again`, () => engine.restart()],
    [0.85, 'all connections are cut', () => followers.sever(1)],
  ].filter(Boolean);
}

/** @returns percentiles of latencies, as text */
function percentiles(latencies) {
  const sorted = Float64Array.from(latencies).sort();
  const at = (share) => decimals(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0, 1);
  return `p50 ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)} ms`;
}

async function run(options, ending) {
  const { broker, minutes, adapter } = options;
  const engine = broker === 'memory' ? undefined : await Engine.start(broker);
  if (engine) ending.push(() => engine.stop());
  const link = engine && (await Link.to(engine.port));
  if (link) ending.push(() => link.close());
  const nodes = [];
  for (let n = 0; n < options.nodes; n += 1) {
    // The second node's path to the engine is one that can be cut.
    const url = engine ? (n === 1 ? engine.url.replace(`:${engine.port}`, `:${link.port}`) : engine.url) : 'memory';
    const node = await Node.start(`${n + 1}`, { adapter, broker: url });
    nodes.push(node);
    ending.push(() => node.kill());
  }

  const feeds = Array.from({ length: options.feeds }, (_, n) => new Feed(`chaos/${n + 1}`, options.messageBytes));
  const followers = new Followers(nodes);
  ending.push(() => followers.leave());
  for (let n = 0; n < options.followers; n += 1) {
    followers.add(feeds[n % feeds.length]);
    if (n % 100 === 99) await sleep(20);
  }
  if (!(await until(() => followers.open === options.followers, 60_000))) {
    throw new Error(`only ${followers.open} of ${options.followers} followers could connect`);
  }
  say(
    `${nodes.length} × ${adapter} on ${broker}: ${followers.open} followers of ${feeds.length} feeds, ${options.publish} messages a second`,
  );

  const publisher = new Publisher(
    feeds.filter((_, n) => (n + 1) % quietEach !== 0),
    followers,
  );
  followers.latencies = [];
  const begunAt = performance.now();
  publisher.start(options.publish);
  const roundMs = Math.min(60_000, minutes * 60_000);
  const rounds = Math.max(1, Math.round((minutes * 60_000) / roundMs));
  let calm;
  for (let round = 0; round < rounds; round += 1) {
    for (const [share, what, happen] of options.calm ? [] : disasters({ engine, link, nodes, followers })) {
      await sleep(Math.max(0, begunAt + (round + share) * roundMs - performance.now()));
      calm ??= followers.latencies;
      followers.latencies = undefined;
      const at = decimals((performance.now() - begunAt) / 1000, 1);
      await happen();
      say(`${at.padStart(7)} s  ${what}; ${followers.open} open, ${publisher.acknowledged} acknowledged, ${followers.received} received`);
    }
    await sleep(Math.max(0, begunAt + (round + 1) * roundMs - performance.now()));
  }
  calm ??= followers.latencies;
  await publisher.stop();
  await until(() => followers.missing === 0 && followers.open === options.followers, 30_000);
  followers.faults.lost += followers.missing;
  return { followers, publisher, calm, isWhole: followers.open === options.followers };
}

let options;
try {
  options = readOptions();
} catch (error) {
  process.stderr.write(`${error.message}\n\n${usage}`);
  process.exit(2);
}
if (options.help) {
  say(usage);
  process.exit(0);
}

const ending = [];
let isEnding = false;
const end = async () => {
  if (isEnding) return;
  isEnding = true;
  for (const step of ending.reverse()) await step();
};
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => end().then(() => process.exit(1)));
try {
  const { followers, publisher, calm, isWhole } = await run(options, ending);
  const { faults } = followers;
  say(
    table(
      ['', options.broker],
      [
        ['published and acknowledged', decimals(publisher.acknowledged, 0)],
        ['published, not acknowledged', decimals(publisher.unacknowledged, 0)],
        ['received', decimals(followers.received, 0)],
        ['connections made again', decimals(followers.reconnects, 0)],
        ['of those refused (503)', decimals(followers.refused, 0)],
        ['publish to receive, while all was well', percentiles(calm)],
        ...Object.entries(faults).map(([name, count]) => [name, decimals(count, 0)]),
      ],
    ),
  );
  if (!isWhole) say(`only ${followers.open} followers are connected in the end`);
  process.exitCode = Object.values(faults).some((count) => count > 0) || !isWhole || publisher.acknowledged === 0 ? 1 : 0;
} catch (error) {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 2;
} finally {
  await end();
}
