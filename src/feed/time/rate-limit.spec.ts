import fc from 'fast-check';
import { RateLimit } from './rate-limit.js';

const periodMs = 60_000;

describe('RateLimit', () => {
  it('takes several at once as it takes them one by one, all of them or none', () => {
    const steps = fc.array(fc.record({ times: fc.integer({ min: 1, max: 30 }), pause: fc.nat(20_000) }), { maxLength: 50 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), steps, (rate, all) => {
        let now = 0;
        const [atOnce, oneByOne] = [new RateLimit(rate, periodMs, () => now), new RateLimit(rate, periodMs, () => now)];
        for (const { times, pause } of all) {
          now += pause;
          let left = 0;
          while (left < times && !oneByOne.isExceeded('a', left + 1)) left += 1;
          expect(atOnce.isExceeded('a', times)).toBe(left < times);
          if (left < times) continue;
          atOnce.take('a', times);
          for (let n = 0; n < times; n += 1) {
            expect(oneByOne.isExceeded('a')).toBe(false);
            oneByOne.take('a');
          }
        }
      }),
    );
  });

  it('tells the first second at which it takes so many again', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 100 }), fc.nat(59_999), (rate, wanted, pause) => {
        fc.pre(wanted <= rate);
        let now = 0;
        const limit = new RateLimit(rate, periodMs, () => now);
        limit.take('a', rate);
        now += pause;
        fc.pre(limit.isExceeded('a', wanted));
        now += (limit.retryAfter('a', wanted) - 1) * 1000;
        expect(limit.isExceeded('a', wanted)).toBe(true);
        now += 1000;
        expect(limit.isExceeded('a', wanted)).toBe(false);
      }),
    );
  });
});
