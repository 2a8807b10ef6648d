import { FeedClientError, longestMs } from './errors.js';

/** Ends a request on which nothing comes for too long, without a timer for each byte. */
export interface Watch {
  /** Aborted when the time is over, and with the outer signal. */
  readonly signal: AbortSignal;
  /** Something has come. */
  hear(): void;
  /** Begins anew, with another time: in milliseconds, 0 for any; then the request fails with this error. */
  limit(ms: number, error?: unknown): void;
  /** Ends the request if its time is over: timers stand still while a computer sleeps. */
  look(): void;
  stop(): void;
}

/** @param outer ends the request as well */
export function watchOver(outer: AbortSignal, firstMs: number): Watch {
  const controller = new AbortController();
  let heardAt = 0;
  let ms = firstMs;
  let error: unknown;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const hear = () => {
    heardAt = Date.now();
  };
  const look = () => {
    clearTimeout(timer);
    if (ms === 0) return;
    const leftMs = heardAt + ms - Date.now();
    if (leftMs > 0) timer = setTimeout(look, Math.min(leftMs, longestMs));
    else controller.abort(error);
  };
  const abort = () => controller.abort(outer.reason);
  const limit: Watch['limit'] = (newMs, newError = new FeedClientError('The server is silent.')) => {
    ms = newMs;
    error = newError;
    hear();
    look();
  };
  outer.addEventListener('abort', abort);
  limit(ms);
  if (outer.aborted) abort();
  return {
    ...{ signal: controller.signal, hear, limit, look },
    stop() {
      clearTimeout(timer);
      outer.removeEventListener('abort', abort);
    },
  };
}
