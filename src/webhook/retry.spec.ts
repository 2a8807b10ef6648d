import { backoff, retryAfter } from './retry.js';

describe('the wait before a retry', () => {
  it.each([
    [0, 1000],
    [1, 2000],
    [5, 32_000],
    [6, 60_000],
    [5000, 60_000],
  ])('is, for retry %i, anything up to %i ms', (retry, most) => {
    const waits = Array.from({ length: 1000 }, () => backoff(retry, 1000, 60_000));
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(0);
    expect(Math.min(...waits)).toBeLessThan(most * 0.1);
    expect(Math.max(...waits)).toBeGreaterThan(most * 0.9);
    expect(Math.max(...waits)).toBeLessThanOrEqual(most);
  });

  it.each([
    [undefined, 0],
    ['', 0],
    ['soon', 0],
    ['120', 120_000],
    ['99999999999999999999', 3_600_000],
    ['Thu, 01 Jan 1970 00:00:30 GMT', 20_000],
    ['Thu, 01 Jan 1970 00:00:05 GMT', 0],
    ['Fri, 01 Jan 2100 00:00:00 GMT', 3_600_000],
  ])('is, with Retry-After %j, at least %i ms', (header, ms) => {
    expect(retryAfter(header, 10_000)).toBe(ms);
  });
});
