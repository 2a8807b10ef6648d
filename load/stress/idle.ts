import { Engine } from '../../tools/engines.mjs';
import { type Check, check, decimals, median, sum } from '../lib/figures.js';
import { startNode } from '../lib/roaming.js';
import { atEnd, cpuMs } from '../lib/server.js';
import type { Service } from '../lib/service.js';
import { sleep } from '../lib/waits.js';

interface IdleOptions {
  adapter: string;
  nodes: number;
  seconds: number;
}

/** How much of a core all nodes and their server may take for each other, in percent. */
const mostPercent = 1;
/** Of how many parts of the time the median is taken, and how long each is at least, in seconds: 56 nodes do something every 28. */
const partsOfTime = 5;
const leastPartSeconds = 30;
/** How many nodes are started at a time. */
const startedAtOnce = 4;
/** How long processes take at the most until they do nothing any more but what they do for ever, in milliseconds. */
const settleMs = 20_000;

async function startNodes(count: number, env: NodeJS.ProcessEnv): Promise<Service[]> {
  const nodes: Service[] = [];
  while (nodes.length < count) {
    const some = Array.from({ length: Math.min(startedAtOnce, count - nodes.length) }, (_, n) => `n${nodes.length + n}`);
    nodes.push(...(await Promise.all(some.map((name) => startNode(name, env)))));
  }
  return nodes;
}

/**
 * What processes take of a core in a time, in percent; for each group of them. Of each process the median of some parts of the time counts:
 * what it does all the time, without a collection of garbage that happens once a minute and takes as much as all the rest.
 */
async function percents(seconds: number, ...groups: (readonly { readonly pid: number }[])[]): Promise<number[]> {
  const parts: number[][][] = groups.map((group) => group.map(() => []));
  for (let part = 0; part < partsOfTime; part += 1) {
    const used = () => groups.map((group) => group.map(({ pid }) => cpuMs(pid)));
    const [begunAt, before] = [performance.now(), used()];
    await sleep((seconds * 1000) / partsOfTime);
    const [endedAt, after] = [performance.now(), used()];
    for (const [g, group] of parts.entries()) {
      for (const [n, process] of group.entries()) process.push((100 * (after[g][n] - before[g][n])) / (endedAt - begunAt));
    }
  }
  return parts.map((group) => sum(group.map((process) => median(process) ?? 0)));
}

/**
 * Nodes on one broker that nobody asks for anything, beside as many processes that know of no other: what they take more, and what their
 * server takes more than one without clients.
 */
export async function idle({ adapter, nodes: count, seconds }: IdleOptions): Promise<Check[]> {
  const env = { FEED_ADAPTER: adapter };
  const alone = await startNodes(count, env);
  const checks: Check[] = [];
  for (const kind of ['redis', 'nats'] as const) {
    const engine = await Engine.start(kind);
    atEnd(() => engine.stop());
    const [unused] = await percents(seconds / 6, [engine]);
    const nodes = await startNodes(count, { ...env, FEED_BROKER: engine.url });
    await sleep(settleMs);
    const [shared, own, server] = await percents(Math.max(seconds, partsOfTime * leastPartSeconds), nodes, alone, [engine]);
    await Promise.all(nodes.map((node) => node.stop()));
    await engine.stop();
    const percent = shared - own + server - unused;
    const said = (value: number) => `${decimals(value, 2)} %`;
    process.stderr.write(
      `idle: ${count} nodes on ${kind} take ${said(shared)} of a core, as many alone ${said(own)}; the server ${said(server)}, unused ${said(unused)}\n`,
    );
    checks.push(
      check(`idle: ${count} nodes on ${kind}, for each other`, `${said(percent)} of a core`, `< ${mostPercent} %`, percent < mostPercent),
    );
  }
  await Promise.all(alone.map((node) => node.stop()));
  return checks;
}
