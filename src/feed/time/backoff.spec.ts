import { backoff } from './backoff.js';

describe('the delay before a retry', () => {
  it.each([
    [0, 1000],
    [1, 2000],
    [5, 32_000],
    [6, 60_000],
    [5000, 60_000],
  ])('after %i others is anything up to %i ms', (attempt, longest) => {
    const delays = Array.from({ length: 1000 }, () => backoff(attempt, { minMs: 1000, maxMs: 60_000 }));
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(0);
    expect(Math.min(...delays)).toBeLessThan(longest * 0.1);
    expect(Math.max(...delays)).toBeGreaterThan(longest * 0.9);
    expect(Math.max(...delays)).toBeLessThanOrEqual(longest);
  });
});
