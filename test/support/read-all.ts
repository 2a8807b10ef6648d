import type { FeedClientMessage } from '../../src/client/index.js';

/** Takes all messages, as a `for await` loop does: what has come, and a Promise that settles as the loop does. */
export function readAll(messages: AsyncIterable<FeedClientMessage>) {
  const all: FeedClientMessage[] = [];
  const done = (async () => {
    for await (const message of messages) all.push(message);
  })();
  done.catch(() => {});
  return { all, done, data: () => all.map(({ type, data }) => type ?? data) };
}
