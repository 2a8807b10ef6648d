import { Connection } from '../lib/connection.js';
import type { Feed } from '../lib/feed.js';
import { until } from '../lib/waits.js';

/** What history keeps by default: of each feed, and for how many minutes, less some for the run's end. */
const [mostMessages, mostMinutes] = [100, 4];
/** How long nothing has to come, in milliseconds, for all of history to be there. */
const quietMs = 2000;

/** What an engine has in the end of what it has acknowledged. */
export interface EngineLosses {
  /** Messages that it has no more. */
  readonly gone: number;
  /** Messages that it has more than once. */
  readonly repeated: number;
}

/** Looks for losses as a client does that asks for all of history; undefined where history is shorter than the run. */
export async function lostFromEngine(
  url: URL,
  feeds: readonly Feed[],
  { minutes, messageBytes, messages }: { minutes: number; messageBytes: number; messages: number | undefined },
): Promise<EngineLosses | undefined> {
  const isCut = minutes > mostMinutes || messageBytes > 0 || feeds.some(({ sent }) => sent > mostMessages);
  if (isCut && messages === undefined) return undefined;
  let heardAt = performance.now();
  const readers = feeds.map((feed) => {
    const ids = new Map<number, Set<string | undefined>>();
    const client = {
      head() {},
      closed() {},
      message({ id, type, text }: { id?: string; type?: string; text?: string }) {
        heardAt = performance.now();
        if (type !== undefined || text === undefined) return;
        const number = Number.parseInt(text, 10);
        ids.set(number, (ids.get(number) ?? new Set()).add(id));
      },
    };
    return { feed, ids, connection: new Connection(url, `/test/${feed.name}?since=earliest`, client, 'sse') };
  });
  await until(() => performance.now() - heardAt > quietMs, 120_000);
  let [gone, repeated] = [0, 0];
  for (const { feed, ids, connection } of readers) {
    connection.leave('reset');
    for (let number = 1; number <= feed.sent; number += 1) if (!feed.isUnsure(number) && !ids.has(number)) gone += 1;
    for (const { size } of ids.values()) if (size > 1) repeated += 1;
  }
  return { gone, repeated };
}
