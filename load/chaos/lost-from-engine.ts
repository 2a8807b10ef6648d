import type { Feed } from '../lib/feed.js';
import type { Service } from '../lib/service.js';
import { sleep } from '../lib/waits.js';

/** What history keeps by default: of each feed, and for how many minutes, less some for the run's end. */
const [mostMessages, mostMinutes] = [100, 4];
/** How many messages are read at once. */
const pageLength = 1000;
/** How often a page is asked for that a node does not answer, and how long is waited in between, in milliseconds. */
const [mostTries, pauseMs] = [30, 1000];

/** What an engine has in the end of what it has acknowledged. */
export interface EngineLosses {
  /** Messages that it has no more. */
  readonly gone: number;
  /** Messages that it has more than once. */
  readonly repeated: number;
}

interface Page {
  readonly messages: readonly { readonly id: string; readonly data: unknown }[];
  readonly position: string;
}

/** Reads all of history, and looks for losses; undefined where it is shorter than the run. */
export async function lostFromEngine(
  node: Service,
  feeds: readonly Feed[],
  { minutes, messageBytes, messages }: { minutes: number; messageBytes: number; messages: number | undefined },
): Promise<EngineLosses | undefined> {
  const isCut = minutes > mostMinutes || messageBytes > 0 || feeds.some(({ sent }) => sent > mostMessages);
  if (isCut && messages === undefined) return undefined;
  let [gone, repeated] = [0, 0];
  for (const feed of feeds) {
    const times = await timesStored(node, feed);
    for (let number = 1; number <= feed.sent; number += 1) if (!feed.isUnsure(number) && !times.has(number)) gone += 1;
    for (const count of times.values()) if (count > 1) repeated += 1;
  }
  return { gone, repeated };
}

/** How often each message of a feed is stored, by its number. */
async function timesStored(node: Service, { name }: Feed): Promise<Map<number, number>> {
  const times = new Map<number, number>();
  for (let since = 'earliest'; ; ) {
    const { messages, position } = await pageOf(node, `/test/${name}?mode=once&limit=${pageLength}&since=${since}`);
    if (messages.length === 0) return times;
    for (const { data } of messages) {
      const number = Number.parseInt(`${data}`, 10);
      times.set(number, (times.get(number) ?? 0) + 1);
    }
    since = position;
  }
}

/** A node answers 503 while its engine is slow. */
async function pageOf(node: Service, path: string): Promise<Page> {
  for (let tries = 1; ; tries += 1) {
    const { status, text } = await node.ask(path);
    if (status === 200) return JSON.parse(text);
    if (tries === mostTries) throw new Error(`history was answered with ${status}: ${text}`);
    await sleep(pauseMs);
  }
}
