/** What gets values, as in RxJS. */
export interface FeedObserver<T> {
  next?: (value: T) => void;
  error?: (error: unknown) => void;
  complete?: () => void;
}

export interface Unsubscribable {
  unsubscribe(): void;
}

/** The part of an Observable that `from()` of RxJS takes. */
export interface FeedObservable<T> {
  subscribe(observer: FeedObserver<T> | ((value: T) => void)): Unsubscribable;
}

export function toNext<T>(observer: FeedObserver<T> | ((value: T) => void)): (value: T) => void {
  return typeof observer === 'function' ? (value) => observer(value) : (value) => observer.next?.(value);
}

/** Lets `from()` of RxJS, and of others, take objects of a class. RxJS looks for the name where it has no symbol. */
export function interoperable(prototype: object): void {
  for (const key of ['@@observable', (Symbol as { observable?: symbol }).observable]) {
    if (key) Object.defineProperty(prototype, key, { value: itself });
  }
}

function itself(this: unknown): unknown {
  return this;
}
