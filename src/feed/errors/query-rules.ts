import { FeedException } from './feed-exception.js';
import { numberIn } from './option-rules.js';

/** How many entries a list has at most. */
export const mostListed = 1000;
/** How many entries a list has, unless it is asked for another number. */
const usuallyListed = 100;

/** The error for a parameter that is out of range, or excludes another one. */
export function badQuery(message: string): FeedException {
  return new FeedException('FEED_QUERY', { message });
}

/** @throws FeedException FEED_QUERY (400) */
export function checkWhole(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw badQuery(`${name} must be a whole number from ${least} to ${most}.`);
}

/** A number of a query; NaN where it is none, which the rule for it then rejects. */
export function numberOf(text: string | null | undefined): number | undefined {
  return text === null || text === undefined ? undefined : numberIn(text);
}

/**
 * How many entries a list is asked for.
 *
 * @throws FeedException FEED_QUERY (400)
 */
export function listLimit(limit = usuallyListed): number {
  checkWhole('limit', limit, 1, mostListed);
  return limit;
}
