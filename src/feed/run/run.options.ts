import * as v from 'valibot';
import { checkOptions, milliseconds } from '../errors/option-rules.js';
import { isPublishable } from '../message/content.js';

/** How a run publishes. */
export interface RunOptions {
  /** The type of its messages, unless they have their own. Default: none. */
  readonly type?: string | undefined;
  /** Within how many milliseconds pieces of text are joined into one message. Default: 0: each is a message of its own. */
  readonly coalesceMs?: number | undefined;
  /**
   * What becomes of the feed when the node that runs its producer is gone: it ends as `failed`, or another node that has called `run()` for
   * it clears it and runs its own producer. Default: `fail`.
   */
  readonly onLost?: 'fail' | 'restart' | undefined;
}

const typeRule = "must be a message's type: 1 to 200 characters, and not end, reset or error";

const rules = {
  type: v.optional(v.pipe(v.string(typeRule), v.check(isPublishable, typeRule))),
  coalesceMs: v.optional(milliseconds()),
  onLost: v.optional(v.picklist(['fail', 'restart'], "must be 'fail' or 'restart'")),
};

/**
 * Checks the options of a run.
 *
 * @param owner whose they are, as the subject of a sentence
 * @throws FeedOptionsError
 */
export function checkRunOptions(owner: string, options: unknown): RunOptions {
  return checkOptions(owner, rules, options);
}
