import { CircuitBreaker } from './circuit-breaker.js';

describe('a circuit breaker', () => {
  const { now } = performance;
  let time = 1000;
  let breaker: CircuitBreaker;
  beforeEach(() => {
    performance.now = () => time;
    breaker = new CircuitBreaker(3, 5000);
  });
  afterEach(() => {
    performance.now = now;
  });

  /** Makes attempts that fail; how many were made. */
  const fail = (times: number) => {
    let made = 0;
    for (let n = 0; n < times; n += 1) {
      if (!breaker.begin()) continue;
      breaker.fail();
      made += 1;
    }
    return made;
  };

  it('opens after some failures in a row, and says for how long', () => {
    expect(fail(2)).toBe(2);
    breaker.succeed();
    expect([fail(10), breaker.retryAfter]).toEqual([3, 5]);
    time += 3500;
    expect([breaker.begin(), breaker.retryAfter]).toEqual([false, 2]);
  });

  it('lets one attempt through then, which shows how it is', () => {
    fail(3);
    time += 5000;
    expect([breaker.begin(), breaker.begin(), breaker.retryAfter]).toEqual([true, false, 1]);
    breaker.fail();
    expect([breaker.begin(), breaker.retryAfter]).toEqual([false, 5]);
    time += 5000;
    expect(breaker.begin()).toBe(true);
    breaker.succeed();
    expect([fail(2), breaker.retryAfter]).toEqual([2, 0]);
  });

  it('stays open for no longer where attempts fail that began before', () => {
    for (let n = 0; n < 4; n += 1) breaker.begin();
    for (let n = 0; n < 3; n += 1) breaker.fail();
    time += 2000;
    breaker.fail();
    expect(breaker.retryAfter).toBe(3);
  });
});
