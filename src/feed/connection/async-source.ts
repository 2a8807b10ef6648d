import { setImmediate as turn } from 'node:timers/promises';
import type { Observer, Unsubscribable } from 'rxjs';

/** Items in a row after which everybody else has a turn of the event loop. */
const longestRun = 16;

/** An observer that can say when it has enough for now. */
export interface FillableObserver<T> extends Observer<T> {
  readonly isFull: boolean;
}

/**
 * Draws from an async iterable no faster than the client reads: an Observable pushes, an iterable waits to be asked.
 * `unsubscribe()` calls the iterator's `return()`, so that a generator's `finally` runs.
 */
export class AsyncSource<T> implements Unsubscribable {
  private readonly iterator: AsyncIterator<T>;
  private isStopped = false;
  private isAsking = false;

  constructor(
    iterable: AsyncIterable<T>,
    private readonly observer: FillableObserver<T>,
  ) {
    this.iterator = iterable[Symbol.asyncIterator]();
    void this.ask();
  }

  /** The observer has room again. */
  resume(): void {
    void this.ask();
  }

  unsubscribe(): void {
    if (this.isStopped) return;
    this.isStopped = true;
    // What a generator's own clean-up throws concerns nobody any more: its connection is gone.
    Promise.resolve(this.iterator.return?.()).catch(() => {});
  }

  private async ask(): Promise<void> {
    if (this.isAsking) return;
    this.isAsking = true;
    try {
      // Promises alone give no turn away: an iterable that never waits, and a client that takes all at once, would halt everything else.
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
      this.isAsking = false;
    }
  }
}
