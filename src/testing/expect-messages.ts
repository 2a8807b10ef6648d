import { AssertionError, deepStrictEqual } from 'node:assert';
import { checkOptions } from '../feed/errors/option-rules.js';
import { isJsonData, textOf } from '../feed/message/content.js';
import { type FeedMessage, isMessage } from '../feed/message/message.js';
import { FeedTimeoutError } from './errors.js';
import type { FeedMessages } from './messages.js';
import { type TimeLimit, timeLimitRules } from './time-limit.js';

/**
 * Waits for as many messages as are expected, and compares them. What comes after them stays where it is.
 *
 * An expected object counts as a message where it has `data`, and otherwise only `id`, `feed`, `type` and `time`: what it has is compared,
 * `type: undefined` for no type. Everything else is the data of one. Data is compared as a client gets it: a `Date` is its text.
 *
 * @param messages those of `follow()`, or of a recorder's `feed()`
 * @param options `timeoutMs`: how long all of them are waited for together, in milliseconds. Default: 5000
 * @returns the messages
 * @throws AssertionError of `node:assert`, with the difference, where others came, or fewer: in time, or until the feed ended; FollowError
 * when the response breaks off
 */
export async function expectMessages(
  messages: FeedMessages,
  expected: readonly unknown[],
  options: TimeLimit = {},
): Promise<FeedMessage[]> {
  const { timeoutMs } = checkOptions('expectMessages()', timeLimitRules, options);
  const givesUp = performance.now() + timeoutMs;
  const came: FeedMessage[] = [];
  let ending = '';
  while (came.length < expected.length && ending === '') {
    try {
      const { value } = await messages.next({ timeoutMs: Math.max(1, Math.ceil(givesUp - performance.now())) });
      if (value) came.push(value);
      else ending = ', and the feed ended';
    } catch (error) {
      if (!(error instanceof FeedTimeoutError)) throw error;
      ending = ` within ${timeoutMs} ms`;
    }
  }
  compare(came, expected, `${messages.name}: ${came.length} of ${expected.length} expected messages came${ending}.`);
  return came;
}

/** @throws AssertionError which begins with a sentence about what came */
function compare(came: readonly FeedMessage[], expected: readonly unknown[], outcome: string): void {
  const wanted = expected.map(partOf);
  // Of what came, as much as is compared.
  const got = came.map((message, n) => Object.fromEntries(Object.keys(wanted[n] as object).map((key) => [key, message[key as 'data']])));
  try {
    deepStrictEqual(got, wanted);
  } catch (error) {
    if (!(error instanceof AssertionError)) throw error;
    // Without the operator: with it, Node would add the difference once more.
    throw new AssertionError({ message: `${outcome}\n${error.message}`, actual: got, expected: wanted });
  }
}

/** The part of a message that is compared. */
function partOf(item: unknown): Partial<FeedMessage> {
  const message = isExpectedMessage(item) ? item : { data: item };
  return { ...message, data: asReceived(message.data) };
}

function isExpectedMessage(item: unknown): item is FeedMessage {
  if (typeof item !== 'object' || item === null) return false;
  const { feed, time, ...rest } = item as Partial<FeedMessage>;
  return isMessage(rest);
}

/** Data as a client of NDJSON has it. */
function asReceived(data: unknown): unknown {
  const text = textOf(data);
  return isJsonData(data) ? JSON.parse(text) : text;
}
