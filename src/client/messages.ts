import { attempt } from './attempt.js';
import { type FeedObservable, type FeedObserver, interoperable, toObserver } from './observable.js';
import type { FeedClientMessage } from './subscription.js';

/** How many messages wait for an iterator before nothing more is read, and how few before it is read on. */
const [mostWaiting, fewWaiting] = [1000, 500];

/** Those of a union that have a type; where it tells no types apart, any message. */
type OfType<Message, Type> =
  Extract<Message, { type: Type extends 'message' ? undefined : Type }> extends infer Found
    ? [Found] extends [never]
      ? FeedClientMessage
      : Found
    : never;

/**
 * The messages of one or several feeds: an async iterable, an Observable, and an emitter by type. It begins with its first consumer, and goes on
 * until its feeds have ended, its signal is aborted, or `close()` is called; leaving a `for await` loop closes it.
 */
export interface FeedMessages<Message extends FeedClientMessage = FeedClientMessage>
  extends AsyncIterable<Message>,
    FeedObservable<Message> {
  readonly feeds: readonly string[];
  /** Calls a listener with each message of a type (`message` for those without one); the result removes it. */
  on<Type extends NonNullable<Message['type']> | 'message' | 'end' | 'reset'>(
    type: Type,
    listener: (message: OfType<Message, Type>) => void,
  ): () => void;
  /** Follows no more. Iterators end, Observers are completed. */
  close(): void;
}

/** Passes the messages of feeds to those who consume them. */
export interface Messages {
  readonly messages: FeedMessages;
  next(message: FeedClientMessage): void;
  /** There are no more: the feeds have ended, or with this error. */
  end(failure?: { readonly error: unknown }): void;
}

/**
 * @param full has the consumers that have enough to do: nothing more is read for the time being
 * @param begin follows the feeds, once there is a consumer
 * @param leave follows them no more
 */
export function createMessages(feeds: readonly string[], full: Set<object>, begin: (() => void) | undefined, leave: () => void): Messages {
  const consumers = new Set<readonly [FeedObserver<FeedClientMessage>]>();
  /** What they ended with; undefined while there may be more. */
  let ended: { readonly failure?: { readonly error: unknown } | undefined } | undefined;

  const tellEnd = ([consumer]: readonly [FeedObserver<FeedClientMessage>]) =>
    attempt(() => {
      if (!ended?.failure) consumer.complete?.();
      else if (consumer.error) consumer.error(ended.failure.error);
      else throw ended.failure.error;
    });

  const end: Messages['end'] = (failure) => {
    if (ended) return;
    ended = { failure };
    leave();
    [...consumers].forEach(tellEnd);
  };

  const add = (consumer: FeedObserver<FeedClientMessage>) => {
    const entry = [consumer] as const; // one observer may subscribe twice
    consumers.add(entry);
    if (ended) tellEnd(entry);
    else begin?.();
    begin = undefined;
    return () => {
      if (consumers.delete(entry) && consumers.size === 0) end();
    };
  };

  const messages = interoperable({
    feeds,
    subscribe: (observer: FeedObserver<FeedClientMessage> | ((message: FeedClientMessage) => void)) => ({
      unsubscribe: add(toObserver(observer)),
    }),
    on: (type: string | undefined, listener: (message: never) => void) =>
      add({
        next: (message) => {
          if ((message.type ?? 'message') === type) listener(message as never);
        },
        error() {}, // the status tells of it
      }),
    close: () => end(),
    [Symbol.asyncIterator]() {
      const queue: FeedClientMessage[] = [];
      let wake = () => {};
      let isLeft = false;
      const leave = () => {
        full.delete(queue);
        wake();
      };
      const iterator = (async function* () {
        const remove = add({
          next(message) {
            queue.push(message);
            if (queue.length === mostWaiting) full.add(queue);
            wake();
          },
          error: leave,
          complete: leave,
        });
        try {
          while (!isLeft) {
            const message = queue.shift();
            if (queue.length <= fewWaiting) full.delete(queue);
            if (message !== undefined) yield message;
            else if (ended?.failure) throw ended.failure.error;
            else if (ended) return;
            else {
              await new Promise<void>((resolve) => {
                wake = resolve;
              });
            }
          }
        } finally {
          full.delete(queue);
          remove();
        }
      })();
      const end = iterator.return.bind(iterator);
      // A generator that waits would not leave before the next message.
      iterator.return = (value) => {
        isLeft = true;
        wake();
        return end(value);
      };
      return iterator;
    },
  });

  return {
    messages: messages as unknown as FeedMessages,
    next(message) {
      for (const entry of [...consumers]) if (!ended && consumers.has(entry)) attempt(() => entry[0].next?.(message));
    },
    end,
  };
}
