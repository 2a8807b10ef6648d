import { setImmediate as turn } from 'node:timers/promises';
import { from, isObservable, type ObservableInput, type Observer, type Unsubscribable } from 'rxjs';

/** Items in a row after which the event loop gets a turn. */
const longestRun = 16;

/** An observer that says when it has enough for now. */
export interface BackpressureObserver<T> extends Observer<T> {
  readonly isFull: boolean;
}

/** A source that is subscribed to. */
export interface SourceSubscription extends Unsubscribable {
  /** The observer can take more; only what is pulled with backpressure has it. */
  resume?(): void;
}

/** A source that has a signal: `unsubscribe()` reaches it even where it waits, as a generator in `await` does. */
export class AbortedSource implements SourceSubscription {
  constructor(
    private readonly source: SourceSubscription,
    private readonly stop: AbortController,
  ) {}

  resume(): void {
    this.source.resume?.();
  }

  unsubscribe(): void {
    this.stop.abort();
    this.source.unsubscribe();
  }
}

/** Subscribes to a source: an async iterable is pulled with backpressure, everything else emits as it likes. */
export function subscribeTo<T>(source: ObservableInput<T>, observer: BackpressureObserver<T>): SourceSubscription {
  return !isObservable(source) && Symbol.asyncIterator in source ? new AsyncSource(source, observer) : from(source).subscribe(observer);
}

/**
 * Pulls an async iterable with backpressure: the next value is requested only when the client can take it.
 * `unsubscribe()` calls the iterator's `return()`, so that a generator's `finally` runs; one that waits in `await` gets there afterwards.
 */
export class AsyncSource<T> implements Unsubscribable {
  private readonly iterator: AsyncIterator<T>;
  private isStopped = false;
  private isPulling = false;

  constructor(
    iterable: AsyncIterable<T>,
    private readonly observer: BackpressureObserver<T>,
  ) {
    this.iterator = iterable[Symbol.asyncIterator]();
    void this.pull();
  }

  /** The observer can take more. */
  resume(): void {
    void this.pull();
  }

  unsubscribe(): void {
    if (this.isStopped) return;
    this.isStopped = true;
    // The connection is closed: an error of the generator's own clean-up has no reader.
    Promise.resolve(this.iterator.return?.()).catch(() => {});
  }

  private async pull(): Promise<void> {
    if (this.isPulling) return;
    this.isPulling = true;
    try {
      // Promises alone never yield to the event loop: an iterable that never waits, and a client that takes everything, would block it.
      for (let run = 1; !this.isStopped; run += 1) {
        const { done, value } = await this.iterator.next();
        if (this.isStopped) return;
        if (done) {
          this.isStopped = true;
          this.observer.complete();
          return;
        }
        this.observer.next(value);
        if (run % longestRun === 0) await turn();
        if (this.observer.isFull) return;
      }
    } catch (error) {
      if (this.isStopped) return;
      this.isStopped = true;
      this.observer.error(error);
    } finally {
      this.isPulling = false;
    }
  }
}
