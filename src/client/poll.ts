import { FeedClientError } from './errors.js';
import type { ResolvedOptions } from './options.js';
import { ask, headMs, type Receiver } from './request.js';
import type { FeedClientMessage } from './subscription.js';

/** How long the first poll waits, so that the client is soon known to be live, and how long the next ones wait, in seconds. */
const [firstSeconds, nextSeconds] = [1, 25];

/** What a poll has brought. */
interface Polled {
  readonly messages: readonly FeedClientMessage[];
  readonly position: string;
  /** Whether all of the feeds have ended. */
  readonly isOver: boolean;
}

/** Waits for the next messages, where streams are held back. */
export function poll(options: ResolvedOptions, receiver: Receiver, isFirst: boolean): Promise<Polled> {
  const seconds = isFirst ? firstSeconds : nextSeconds;
  const query = [['mode', 'poll'] as const, ['wait', `${seconds}`] as const];
  return ask(options, receiver, query, headMs + seconds * 1000, async (response) => {
    if (!/^application\/json/.test(response.headers.get('content-type') ?? '')) {
      throw new FeedClientError('Something on the way holds streams back, and this route does not poll.');
    }
    const { messages, position, reset, ended } = (await response.json()) as Omit<Polled, 'isOver'> & { reset?: true; ended?: object };
    const resets = reset ? receiver.feeds.map((feed) => ({ feed, type: 'reset', data: { feed, oldest: null } })) : [];
    return { messages: [...resets, ...messages], position, isOver: ended !== undefined };
  });
}
