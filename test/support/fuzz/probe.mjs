// Preloaded into a server with `--import`. At each SIGWINCH it says in a line on stdout what the process holds after a collection, and the
// longest turn of its event loop since it was last asked.
import { readFileSync, writeSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';

const periodMs = 4;

/** The time that the main thread has run, in milliseconds: waiting for a core, as on a busy machine, is not a part of a turn. */
const ranMs = () => Number(readFileSync('/proc/self/schedstat', 'latin1').split(' ')[0]) / 1e6;

let longest = 0;
let before = ranMs();
setInterval(() => {
  const now = ranMs();
  longest = Math.max(longest, now - before);
  before = now;
}, periodMs).unref();

process.on('SIGWINCH', async () => {
  const turnMs = longest;
  // What finalizers free in the first is collected in the second.
  for (let n = 0; n < 2; n += 1) {
    globalThis.gc?.();
    await turn();
  }
  const resources = {};
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
  const { heapUsed, external, rss } = process.memoryUsage();
  writeSync(1, `\nprobe ${JSON.stringify({ turnMs, heapBytes: heapUsed + external, rssBytes: rss, resources })}\n`);
  longest = 0;
  before = ranMs();
});
