import { Pauses } from './pauses.js';

describe('the pause before another worker is started', () => {
  it('doubles up to a bound, less a random part, until a worker has lived for a while', () => {
    const pauses = new Pauses();
    for (const longest of [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]) {
      const pause = pauses.after(100);
      expect(pause).toBeGreaterThan(longest / 2);
      expect(pause).toBeLessThanOrEqual(longest);
    }
    expect(pauses.after(30_000)).toBeLessThanOrEqual(200);
    expect(pauses.after(100)).toBeGreaterThan(200);
  });
});
