import { from, isObservable, type ObservableInput } from 'rxjs';

/**
 * The items of a source, one after the other: those of an async iterable are asked for when the one before has been taken, those of an
 * Observable wait until then.
 *
 * @param signal ends them, without an error
 */
export async function* itemsOf<T>(source: ObservableInput<T>, signal: AbortSignal): AsyncGenerator<T, void> {
  if (!isObservable(source) && Symbol.asyncIterator in source) yield* pulled(source, signal);
  else yield* pushed(source, signal);
}

async function* pulled<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T, void> {
  const iterator = source[Symbol.asyncIterator]();
  let stop = () => {};
  const onAbort = () => stop();
  signal.addEventListener('abort', onAbort);
  try {
    while (!signal.aborted) {
      const next = await new Promise<IteratorResult<T> | undefined>((resolve, reject) => {
        stop = () => resolve(undefined);
        iterator.next().then(resolve, reject);
      });
      if (next === undefined || next.done) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    // One that waits in `await` gets there afterwards.
    Promise.resolve(iterator.return?.()).catch(() => {});
  }
}

async function* pushed<T>(source: ObservableInput<T>, signal: AbortSignal): AsyncGenerator<T, void> {
  if (signal.aborted) return;
  const waiting: T[] = [];
  let isCompleted = false;
  let failure: { readonly error: unknown } | undefined;
  let wake = () => {};
  const subscription = from(source).subscribe({
    next: (item) => {
      waiting.push(item);
      wake();
    },
    error: (error) => {
      failure = { error };
      wake();
    },
    complete: () => {
      isCompleted = true;
      wake();
    },
  });
  const onAbort = () => wake();
  signal.addEventListener('abort', onAbort);
  try {
    while (!signal.aborted) {
      yield* waiting.splice(0);
      if (waiting.length > 0) continue;
      if (failure) throw failure.error;
      if (isCompleted || signal.aborted) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    subscription.unsubscribe();
  }
}
