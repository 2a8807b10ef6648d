import * as v from 'valibot';

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
