import type { Backlog } from './backlog.js';
import { type FeedObservable, type FeedObserver, interoperable, toNext, type Unsubscribable } from './observable.js';
import type { FeedClientMessage } from './subscription.js';

/** How many messages wait for an iterator before nothing more is read, and how few before it is read on. */
const [mostWaiting, fewWaiting] = [1000, 500];

/**
 * The messages of one or several feeds: an async iterable, an Observable, and an emitter by type. It begins with its first consumer, and goes on
 * until its feeds have ended, its signal is aborted, or `close()` is called; leaving a `for await` loop closes it.
 */
export interface FeedMessages<Message extends FeedClientMessage = FeedClientMessage>
  extends AsyncIterable<Message>,
    FeedObservable<Message> {
  readonly feeds: readonly string[];
  /** Calls a listener with each message of a type (`message` for those without one); the result removes it. */
  on<Type extends Message['type'] | 'message' | 'end' | 'reset'>(
    type: Type,
    listener: (
      message: Extract<Message, { type?: Type extends 'message' ? undefined : Type }> extends never
        ? FeedClientMessage
        : Extract<Message, { type?: Type extends 'message' ? undefined : Type }>,
    ) => void,
  ): () => void;
  /** Follows no more. Iterators end, Observers are completed. */
  close(): void;
}

/** Gets messages, and is told once that there are no more. */
interface Consumer {
  next(message: FeedClientMessage): void;
  error(error: unknown): void;
  complete(): void;
}

/** What follows feeds passes their messages to all consumers. */
export class Messages implements FeedMessages {
  private readonly consumers = new Set<Consumer>();
  private isOver = false;
  private failure: { readonly error: unknown } | undefined = undefined;
  private hasBegun = false;

  /**
   * @param begin follows the feeds, once there is a consumer
   * @param leave follows them no more
   */
  constructor(
    readonly feeds: readonly string[],
    private readonly backlog: Backlog,
    private readonly begin: () => void,
    private readonly leave: () => void,
  ) {}

  [Symbol.asyncIterator](): AsyncIterator<FeedClientMessage> {
    const queue: FeedClientMessage[] = [];
    let wake: (() => void) | undefined;
    const push = () => {
      wake?.();
      wake = undefined;
    };
    const consumer: Consumer = {
      next: (message) => {
        queue.push(message);
        if (queue.length === mostWaiting) this.backlog.set(queue, true);
        push();
      },
      error: push,
      complete: push,
    };
    this.add(consumer);
    const end = () => {
      this.backlog.set(queue, false);
      this.consumers.delete(consumer);
    };
    return {
      next: async () => {
        for (;;) {
          const message = queue.shift();
          if (queue.length === fewWaiting) this.backlog.set(queue, false);
          if (message !== undefined) return { value: message, done: false };
          if (this.isOver) {
            end();
            const { failure } = this;
            this.failure = undefined;
            if (failure) throw failure.error;
            return { value: undefined, done: true };
          }
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      },
      return: async () => {
        queue.length = 0;
        end();
        this.close();
        return { value: undefined, done: true };
      },
    };
  }

  subscribe(observer: FeedObserver<FeedClientMessage> | ((message: FeedClientMessage) => void)): Unsubscribable {
    const next = toNext(observer);
    const told = typeof observer === 'function' ? {} : observer;
    return this.addUnsubscribable({
      next,
      error: (error) => (told.error ? told.error(error) : report(error)),
      complete: () => told.complete?.(),
    });
  }

  on(type: string | undefined, listener: (message: never) => void): () => void {
    const wanted = type === 'message' ? undefined : type;
    const next = (message: FeedClientMessage) => {
      if (message.type === wanted) listener(message as never);
    };
    return this.addUnsubscribable({ next, error() {}, complete() {} }).unsubscribe;
  }

  close(): void {
    if (this.isOver) return;
    this.leave();
    this.end();
  }

  next(message: FeedClientMessage): void {
    for (const consumer of [...this.consumers]) attempt(() => consumer.next(message));
  }

  end(): void {
    if (this.isOver) return;
    this.isOver = true;
    for (const consumer of [...this.consumers]) attempt(() => consumer.complete());
  }

  fail(error: unknown): void {
    if (this.isOver) return;
    this.isOver = true;
    this.failure = { error };
    this.leave();
    for (const consumer of [...this.consumers]) attempt(() => consumer.error(error));
  }

  private add(consumer: Consumer): void {
    this.consumers.add(consumer);
    if (this.hasBegun) return;
    this.hasBegun = true;
    if (!this.isOver) this.begin();
  }

  private addUnsubscribable(consumer: Consumer): Unsubscribable {
    this.add(consumer);
    if (this.isOver) attempt(() => (this.failure ? consumer.error(this.failure.error) : consumer.complete()));
    return {
      unsubscribe: () => {
        this.consumers.delete(consumer);
        if (this.consumers.size === 0) this.close();
      },
    };
  }
}

interoperable(Messages.prototype);

/** What a listener throws is the application's: it is reported, and nobody else is kept from the message. */
function attempt(call: () => void): void {
  try {
    call();
  } catch (error) {
    report(error);
  }
}

function report(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
