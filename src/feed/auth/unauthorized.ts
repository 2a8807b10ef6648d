import { type FeedErrorDetails, FeedException } from '../errors/feed-exception.js';

/**
 * The error for a credential that is missing or not valid.
 *
 * @param isGiven whether there is one: only then the challenge names an error (RFC 6750 section 3.1)
 */
export function unauthorized(message: string, isGiven: boolean): FeedException {
  return new FeedException('FEED_UNAUTHORIZED', { message, challenge: `Bearer realm="feeds"${isGiven ? ', error="invalid_token"' : ''}` });
}

/** The error where it cannot be decided what a request may do: nothing is allowed then. */
export function authorizationUnavailable(details: Pick<FeedErrorDetails, 'cause' | 'retryAfter'> = {}): FeedException {
  return new FeedException('FEED_UNAVAILABLE', { message: 'Authorization is temporarily unavailable.', ...details });
}
