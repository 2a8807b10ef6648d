import * as v from 'valibot';
import { FeedOptionsError } from './feed-options.error.js';

/** The whole number that a text is, in digits; NaN where it is none, which the rule for it then rejects. */
export function numberIn(text: string): number {
  return /^\d+$/.test(text) ? Number(text) : Number.NaN;
}

/** An option that is a whole number of something. */
export function wholeNumber(unit: string, least = 0, most = Number.MAX_SAFE_INTEGER) {
  return v.pipe(
    v.number(`must be a whole number of ${unit}`),
    v.safeInteger(`must be a whole number of ${unit}`),
    v.minValue(least, `must be ${least} or more ${unit}`),
    v.maxValue(most, `must be ${most} or fewer ${unit}`),
  );
}

/** An option in milliseconds. The longest delay of a timer is 2³¹ − 1 ms: beyond it Node falls back to 1 ms. */
export function milliseconds(least = 0) {
  return wholeNumber('milliseconds', least, 2 ** 31 - 1);
}

/**
 * Checks options, each by its rule.
 *
 * @param owner whose options they are, as the subject of a sentence
 * @param others further options, which are checked elsewhere
 * @throws FeedOptionsError for the first that is wrong, with what it was and what is allowed
 */
export function checkOptions<Rules extends v.ObjectEntries>(
  owner: string,
  rules: Rules,
  options: unknown,
  others: readonly string[] = [],
): v.InferOutput<v.StrictObjectSchema<Rules, undefined>> {
  const result = v.safeParse(v.strictObject(rules), options);
  if (result.success) return result.output;
  const [{ path, expected, message, received }] = result.issues;
  const option = path?.map((item) => String(item.key)).join('.') ?? 'options';
  if (expected === 'never' && path && path.length > 1) {
    throw new FeedOptionsError(`${owner} has no option "${option}": "${option.slice(0, option.lastIndexOf('.'))}" ${message}`, option);
  }
  if (expected === 'never') {
    throw new FeedOptionsError(`${owner} has no option "${option}"; it has ${[...others, ...Object.keys(rules)].join(', ')}`, option);
  }
  throw new FeedOptionsError(`${owner}'s option "${option}" ${message}, not ${received}`, option);
}
