import * as v from 'valibot';
import { FeedOptionsError } from '../errors/feed-options.error.js';
import { milliseconds, wholeNumber } from '../errors/option-rules.js';
import { mostLast } from '../message/position.js';
import type { FeedRules } from './rules.js';

const replayRule = `must be 'none', 'newest', 'all' or a whole number of messages from 1 to ${mostLast}`;

/** What each option of a rule may be. */
export const feedRuleEntries = {
  historyLength: v.optional(wholeNumber('messages')),
  historyTtlMs: v.optional(milliseconds(1)),
  historyBytes: v.optional(wholeNumber('bytes')),
  keepNewest: v.optional(v.boolean('must be true or false')),
  replay: v.optional(v.custom<'none' | 'newest' | 'all' | number>(isReplay, replayRule)),
  snapshot: v.optional(
    v.custom<(feed: string) => unknown>((value) => typeof value === 'function', 'must be a function that returns the state of a feed'),
  ),
  conflate: v.optional(v.boolean('must be true or false')),
  maxSubscribers: v.optional(wholeNumber('subscribers', 1)),
  publishPerSecond: v.optional(wholeNumber('messages', 1)),
  presence: v.optional(v.boolean('must be true or false')),
  read: v.optional(v.picklist(['public', 'token'], "must be 'public' or 'token'")),
};

/**
 * Checks the options of each rule against each other.
 *
 * @throws FeedOptionsError
 */
export function checkRules(rules: FeedRules, hasTokens: boolean): void {
  for (const [pattern, { snapshot, replay = 'none', read }] of Object.entries(rules)) {
    if (snapshot !== undefined && replay !== 'none') {
      const message = `FeedModule's option "rules.${pattern}" takes "snapshot" or "replay": give one of the two`;
      throw new FeedOptionsError(message, `rules.${pattern}.replay`);
    }
    if (read === 'token' && !hasTokens) {
      const message = `FeedModule's option "rules.${pattern}.read" is 'token', which needs "jwtSecret", "jwksUrl" or "publishKey" too, or "authorize"`;
      throw new FeedOptionsError(message, `rules.${pattern}.read`);
    }
  }
}

function isReplay(value: unknown): boolean {
  if (typeof value === 'number') return Number.isInteger(value) && value >= 1 && value <= mostLast;
  return value === 'none' || value === 'newest' || value === 'all';
}
