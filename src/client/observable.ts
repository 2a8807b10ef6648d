/** What gets values, as in RxJS. */
export interface FeedObserver<T> {
  next?: (value: T) => void;
  error?: (error: unknown) => void;
  complete?: () => void;
}

export interface Unsubscribable {
  unsubscribe(): void;
}

declare global {
  // As RxJS declares it: an application need not have it.
  interface SymbolConstructor {
    readonly observable: symbol;
  }
}

interface FeedSubscribable<T> {
  subscribe(observer: FeedObserver<T> | ((value: T) => void)): Unsubscribable;
}

/** The part of an Observable that `from()` of RxJS takes. */
export interface FeedObservable<T> extends FeedSubscribable<T> {
  [Symbol.observable](): FeedSubscribable<T>;
}

/** An observer, whichever way it was given. */
export function toObserver<T>(observer: FeedObserver<T> | ((value: T) => void)): FeedObserver<T> {
  return typeof observer === 'function' ? { next: observer } : observer;
}

/** Lets `from()` of RxJS, and of others, take an object: RxJS looks for a name where it has no symbol. */
export function interoperable<T extends object>(observable: T): T & { [Symbol.observable](): T } {
  const itself = () => observable;
  return Object.assign(observable, { '@@observable': itself, [Symbol.observable ?? '@@observable']: itself }) as never;
}
