import { retryAfter } from './retry-after.js';

it.each([
  [undefined, 0],
  ['', 0],
  ['soon', 0],
  ['120', 120_000],
  ['99999999999999999999', 3_600_000],
  ['Thu, 01 Jan 1970 00:00:30 GMT', 20_000],
  ['Thu, 01 Jan 1970 00:00:05 GMT', 0],
  ['Fri, 01 Jan 2100 00:00:00 GMT', 3_600_000],
])('Retry-After %j asks for a delay of %i ms', (header, ms) => {
  expect(retryAfter(header, 10_000)).toBe(ms);
});
