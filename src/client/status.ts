import { type FeedObserver, interoperable, toNext, type Unsubscribable } from './observable.js';

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
export class Status {
  value: FeedClientStatus = { state: 'idle' };
  private readonly observers = new Set<(status: FeedClientStatus) => void>();

  /** Calls `next` with the present status, and whenever it changes. */
  subscribe(observer: FeedObserver<FeedClientStatus> | ((status: FeedClientStatus) => void)): Unsubscribable {
    const next = toNext(observer);
    this.observers.add(next);
    next(this.value);
    return { unsubscribe: () => void this.observers.delete(next) };
  }

  /** @internal */
  set(status: FeedClientStatus): void {
    this.value = status;
    for (const next of [...this.observers]) next(status);
  }
}

interoperable(Status.prototype);
