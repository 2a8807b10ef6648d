import { type Failure, failureOf } from '../errors/failure.js';
import type { EndReason } from '../stats/end-reason.js';

/** The times after which clients of a server that shuts down reconnect, in milliseconds: spread at random. */
const [soonestMs, latestMs] = [500, 5000];
/** The longest time that `EventSource` can wait before it reconnects, in milliseconds: timers have no more than 31 bits. */
const neverMs = 2_147_483_647;
/** What tells the client of `nestjs-feed/client` that reconnecting is of no use. */
const finalStatus = 403;

/** What a client is told at the end of its connection. */
export interface EndNotice {
  readonly error: unknown;
  /** Whether it should not reconnect. */
  readonly isFinal?: boolean;
}

/** After how many milliseconds a client reconnects, where that is not left to it. */
export function retryMsAfter(reason: EndReason | undefined, notice: EndNotice | undefined): number | undefined {
  if (reason === 'drained') return Math.round(soonestMs + Math.random() * (latestMs - soonestMs));
  return notice?.isFinal ? neverMs : undefined;
}

/** What a format says of the end. */
export function toldBy({ error, isFinal }: EndNotice): Failure & { readonly status?: number } {
  return { ...failureOf(error), ...(isFinal && { status: finalStatus }) };
}
