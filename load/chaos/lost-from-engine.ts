import { Connection } from '../lib/connection.js';
import type { Feed } from '../lib/feed.js';
import { until } from '../lib/waits.js';

/** What history keeps by default: of each feed, and for how many minutes, less some for the run's end. */
const [mostMessages, mostMinutes] = [100, 4];
/** How long nothing has to come, in milliseconds, for all of history to be there. */
const quietMs = 2000;

/**
 * How many acknowledged messages an engine has no more in the end, as a client finds that asks for all of history; undefined where history
 * is shorter than the run.
 */
export async function lostFromEngine(
  url: URL,
  feeds: readonly Feed[],
  { minutes, messageBytes }: { minutes: number; messageBytes: number },
) {
  if (minutes > mostMinutes || messageBytes > 0 || feeds.some(({ sent }) => sent > mostMessages)) return undefined;
  let heardAt = performance.now();
  let gone = 0;
  const readers = feeds.map((feed) => {
    const stored = new Set<number>();
    const client = {
      head() {},
      closed() {},
      message({ type, text }: { type?: string; text?: string }) {
        heardAt = performance.now();
        if (type === undefined && text !== undefined) stored.add(Number.parseInt(text, 10));
      },
    };
    return { feed, stored, connection: new Connection(url, `/test/${feed.name}?since=earliest`, client, 'sse') };
  });
  await until(() => performance.now() - heardAt > quietMs);
  for (const { feed, stored, connection } of readers) {
    connection.leave('reset');
    for (let number = 1; number <= feed.sent; number += 1) if (!feed.isUnsure(number) && !stored.has(number)) gone += 1;
  }
  return gone;
}
