import { FeedClientError } from './errors.js';
import type { ResolvedOptions } from './options.js';
import { isPosition } from './position.js';
import { ask, headMs, type Line, type Receiver } from './request.js';
import type { FeedClientMessage } from './subscription.js';

/** How long the first poll waits, so that the client is soon known to be live, and how long the next ones wait, in seconds. */
const [firstSeconds, nextSeconds] = [1, 25];
/** How many messages an answer has that is cut short. */
const mostMessages = 1000;

/** What a poll has brought. */
interface Polled {
  readonly messages: readonly FeedClientMessage[];
  readonly position: string;
  /** Whether all of the feeds have ended. */
  readonly isEnded: boolean;
  /** Whether there is more behind its position. */
  readonly isCut: boolean;
}

/** Waits for the next messages, where streams are held back, and passes on what comes as a stream would. What is cut short is gone on with. */
export async function poll(options: ResolvedOptions, receiver: Receiver, isFirst: boolean): Promise<void> {
  const { feeds, onLine, ready } = receiver;
  const [start] = receiver.since;
  let since = receiver.since.length > 1 || feeds.length === 1 ? [...receiver.since] : feeds.map((feed) => `${start ?? 'new'}/${feed}`);
  for (;;) {
    const polled = await pollOnce(options, { ...receiver, since }, isFirst);
    const { messages, position, isCut, isEnded } = polled;
    for (const message of messages) onLine(message as Line);
    if (!isCut) {
      onLine({ position });
      if (isEnded) onLine({ position, heartbeatMs: 0, ended: feeds });
      return ready();
    }
    // A feed that begins with its last two, of which none has come, begins behind this position: it is asked for these again.
    const begun = new Set(messages.filter(({ id }) => id !== undefined).map(({ feed }) => feed));
    since =
      feeds.length === 1
        ? [position]
        : feeds.map((feed, n) => (begun.has(feed) || isPosition(since[n]) ? `${position}/${feed}` : (since[n] as string)));
    await ready();
  }
}

function pollOnce(options: ResolvedOptions, receiver: Receiver, isFirst: boolean): Promise<Polled> {
  const seconds = isFirst ? firstSeconds : nextSeconds;
  const query = [['mode', 'poll'] as const, ['wait', `${seconds}`] as const];
  return ask(options, receiver, query, headMs + seconds * 1000, async (response) => {
    if (!/^application\/json/.test(response.headers.get('content-type') ?? '')) {
      throw new FeedClientError('Something on the way holds streams back, and this route does not poll.');
    }
    const { messages, position, reset, ended } = (await response.json()) as Pick<Polled, 'messages' | 'position'> & {
      reset?: true;
      ended?: object;
    };
    const resets = reset ? receiver.feeds.map((feed) => ({ feed, type: 'reset', data: { feed, oldest: null } })) : [];
    return {
      messages: [...resets, ...messages],
      position,
      isEnded: ended !== undefined,
      isCut: messages.length === mostMessages && !ended,
    };
  });
}
