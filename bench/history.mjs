import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { serve } from './child.mjs';
import { environment, servers } from './servers.mjs';
import { decimals, table } from './table.mjs';

const key = 'bench';

/** Documented of the option `historyBytes`: what a message counts with beside its data. */
const overhead = 512;
/** Documented default of `historyLength`. */
const kept = 100;

/** Resident memory of a process, in megabytes. */
const rss = (pid) => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))[1]) / 1024;

async function publishAll({ prepare }, { messages, feeds, bytes }) {
  const { command, args, env } = await prepare();
  const server = await serve(command, args, environment(0, { ...env, FEED_PUBLISH_KEY: key }));
  try {
    const names = Array.from({ length: feeds }, (_, n) => `f${n}`);
    const body = (n) => JSON.stringify({ feeds: names, data: String(n).padEnd(bytes, 'x') });
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
    const publish = async (n) => {
      const answer = await fetch(`${server.url}/test`, { method: 'POST', headers, body: body(n) });
      if (answer.status !== 201) throw new Error(`answered with ${answer.status}`);
      await answer.arrayBuffer();
    };
    await sleep(5000); // until the service lets its heap grow as it does at rest
    const before = rss(server.pid);
    const begun = performance.now();
    let highest = 0;
    for (let n = 0; n < messages / feeds; n += 1) {
      await publish(n);
      highest = Math.max(highest, rss(server.pid));
    }
    const perSecond = (messages / (performance.now() - begun)) * 1000;
    const bound = (feeds * kept * (bytes + overhead)) / 1024 ** 2;
    const after = rss(server.pid);
    return { before, after, highest, bound, perSecond, ok: after - before <= bound };
  } finally {
    await server.stop();
  }
}

/**
 * What is left of many messages: published to many feeds with nobody there, against the bound that the service's documentation gives.
 *
 * @param load.messages how many, over all feeds
 * @param load.feeds how many feeds, all of them published to by each request
 * @param load.bytes length of each message's data
 */
export async function history(load, say) {
  const rows = [];
  for (const name of ['service Express', 'service Fastify']) {
    say(`history: ${name}`);
    rows.push({
      name,
      ...(await publishAll(
        servers.find((server) => server.name === name),
        load,
      )),
    });
  }
  return rows;
}

export function historyTable(rows, markdown) {
  const head = ['server', 'RSS before MB', 'after', 'grown by', 'bound MB', 'highest RSS', 'messages/s', 'ok'];
  const lines = rows.map(({ name, before, after, highest, bound, perSecond, ok }) => [
    name,
    ...[before, after, after - before, bound, highest].map((value) => decimals(value, 1)),
    decimals(perSecond, 0),
    ok ? 'ok' : 'FAILED',
  ]);
  return table(head, lines, markdown);
}
