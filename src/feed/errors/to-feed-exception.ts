import { BrokerUnavailableError, FeedEndedError, FeedPositionError, KeyReusedError, MessageTooLargeError } from './broker.errors.js';
import { FeedException } from './feed-exception.js';

/** The error of a broker as a client gets it; every other error as it is. */
export function toFeedException(error: unknown): unknown {
  if (error instanceof BrokerUnavailableError) return new FeedException('FEED_BROKER', { cause: error });
  if (error instanceof FeedEndedError) return new FeedException('FEED_ENDED', { cause: error });
  if (error instanceof FeedPositionError) return new FeedException('FEED_POSITION', { cause: error });
  if (error instanceof KeyReusedError) return new FeedException('FEED_KEY', { cause: error });
  return error instanceof MessageTooLargeError ? tooLarge(error.limit) : error;
}

/** Handles the rejection of a promise: its caller gets the error of a broker as a client gets it. */
export function throwFeedException(error: unknown): never {
  throw toFeedException(error);
}

/** The error for a message that has more bytes than the limit. */
export function tooLarge(limit: number): FeedException {
  return new FeedException('FEED_BODY_TOO_LARGE', { message: `A message has ${limit} bytes at most.`, limit });
}
