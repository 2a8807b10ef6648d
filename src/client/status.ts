import { attempt } from './attempt.js';
import { type FeedObservable, interoperable, toObserver } from './observable.js';

/** How the client's connection is. */
export type FeedClientStatus =
  /** Nothing is followed. */
  | { readonly state: 'idle' }
  | { readonly state: 'connecting' }
  /** Messages come as they are published: by a `stream`, or, where a proxy holds streams back, by a long `poll`. */
  | { readonly state: 'live'; readonly transport: 'stream' | 'poll' }
  /** The connection was lost, or refused for now. The next attempt begins at `until`, in milliseconds since 1970. */
  | { readonly state: 'waiting'; readonly until: number; readonly error: unknown }
  /** All feeds that were followed have ended. */
  | { readonly state: 'ended' }
  /** The server refuses what the client asks for, or its token cannot be had; with `until`, the client tries again then. */
  | { readonly state: 'failed'; readonly error: unknown; readonly until?: number };

/** A value that changes: `value` is the present one, and each observer gets it at once. */
export interface Status extends FeedObservable<FeedClientStatus> {
  readonly value: FeedClientStatus;
  /** @internal */
  set(status: FeedClientStatus): void;
}

export function createStatus(): Status {
  const observers = new Set<(status: FeedClientStatus) => void>();
  const status = {
    value: { state: 'idle' } as FeedClientStatus,
    subscribe(observer: Parameters<Status['subscribe']>[0]) {
      const told = toObserver(observer);
      const tell = (value: FeedClientStatus) => told.next?.(value);
      observers.add(tell);
      tell(status.value);
      return { unsubscribe: () => void observers.delete(tell) };
    },
    set(value: FeedClientStatus) {
      status.value = value;
      for (const tell of [...observers]) attempt(() => tell(value));
    },
  };
  return interoperable(status);
}
