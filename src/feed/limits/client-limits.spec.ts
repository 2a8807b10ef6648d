import fc from 'fast-check';
import { ClientLimits } from './client-limits.js';

const none = Number.POSITIVE_INFINITY;
const minute = 60_000;

/** What the limits say, kept in the simplest way: every open of every client, and a bucket that is filled up at each look. */
class Model {
  private readonly open = new Map<string, number>();
  private readonly buckets = new Map<string, { level: number; at: number }>();

  constructor(
    private readonly most: number,
    private readonly rate: number,
  ) {}

  check(client: string, now: number) {
    if (this.openOf(client) >= this.most) return 'client';
    return this.levelOf(client, now) < minute ? 'rate' : undefined;
  }

  opens(client: string, now: number) {
    this.open.set(client, this.openOf(client) + 1);
    this.buckets.set(client, { level: this.levelOf(client, now) - minute, at: now });
  }

  closes(client: string) {
    this.open.set(client, this.openOf(client) - 1);
  }

  openOf(client: string) {
    return this.open.get(client) ?? 0;
  }

  /** In 60,000ths of a connection, of which a millisecond brings as many as the rate. */
  private levelOf(client: string, now: number) {
    if (this.rate === none) return none;
    const { level, at } = this.buckets.get(client) ?? { level: this.rate * minute, at: 0 };
    return Math.min(this.rate * minute, level + (now - at) * this.rate);
  }
}

const client = fc.constantFrom('a', 'b', 'c');
const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ opens: client }) },
    { weight: 2, arbitrary: fc.record({ closes: client }) },
    {
      weight: 2,
      arbitrary: fc.record({ passes: fc.oneof(fc.nat(3000), fc.constantFrom(15_000, 30_000, 59_999, minute), fc.nat(3 * minute)) }),
    },
  ),
  { maxLength: 200 },
);
const limit = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constant(none));

describe('ClientLimits', () => {
  it('admit as a model does', () => {
    fc.assert(
      fc.property(limit, limit, fc.nat(), steps, (maxConnectionsPerClient, connectionRatePerClient, begun, all) => {
        let now = begun;
        const limits = new ClientLimits({ maxConnectionsPerClient, connectionRatePerClient }, () => now);
        const model = new Model(maxConnectionsPerClient, connectionRatePerClient);
        for (const step of all) {
          if ('passes' in step) now += step.passes;
          else if ('closes' in step) {
            if (model.openOf(step.closes) === 0) continue;
            limits.close(step.closes);
            model.closes(step.closes);
          } else {
            const refusal = limits.check(step.opens);
            expect(refusal).toBe(model.check(step.opens, now));
            if (refusal) continue;
            limits.open(step.opens);
            model.opens(step.opens, now);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it.each([0, 1000, 29_000, 31_000, 59_000])('remember a client until its bucket is full, whoever else comes; from %i ms on', (begun) => {
    let now = 0;
    const limits = new ClientLimits({ maxConnectionsPerClient: none, connectionRatePerClient: 10 }, () => now);
    for (; now < begun; now += 1000) limits.open(`${now}`);
    for (let n = 0; n < 10; n += 1) limits.open('a');
    for (; now < begun + 59_000; now += 1000) limits.open(`${now}`);
    for (let n = 0; n < 9; n += 1) {
      expect(limits.check('a')).toBeUndefined();
      limits.open('a');
    }
    expect(limits.check('a')).toBe('rate');
  });

  it('tell the first second at which the rate admits again', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), fc.nat(minute), (rate, pause) => {
        let now = 0;
        const limits = new ClientLimits({ maxConnectionsPerClient: none, connectionRatePerClient: rate }, () => now);
        expect(limits.retryAfter('a')).toBe(1);
        for (let n = 0; n < rate; n += 1) limits.open('a');
        now += pause % (minute / rate);
        fc.pre(limits.check('a') === 'rate');
        const seconds = limits.retryAfter('a');
        now += (seconds - 1) * 1000;
        expect(limits.check('a')).toBe('rate');
        now += 1000;
        expect(limits.check('a')).toBeUndefined();
      }),
    );
  });

  it('take the real time, in parts of milliseconds', () => {
    let now = 123.456;
    const limits = new ClientLimits({ maxConnectionsPerClient: none, connectionRatePerClient: 7 }, () => now);
    for (let n = 0; n < 7; n += 1) {
      expect(limits.check('a')).toBeUndefined();
      limits.open('a');
    }
    expect(limits.check('a')).toBe('rate');
    now += minute / 7 + 1;
    expect(limits.check('a')).toBeUndefined();
  });

  it('keep nothing where there is no limit', () => {
    const limits = new ClientLimits({ maxConnectionsPerClient: none, connectionRatePerClient: none });
    expect(limits.isLimited).toBe(false);
    for (let n = 0; n < 1000; n += 1) limits.open(`${n % 10}`);
    expect(limits.check('1')).toBeUndefined();
    expect(limits.size).toBe(0);
    limits.close('1');
    expect(limits.retryAfter('1')).toBe(1);
  });

  it('keep nothing of who was refused', () => {
    const limits = new ClientLimits({ maxConnectionsPerClient: 1, connectionRatePerClient: 1 }, () => 0);
    limits.open('a');
    const { size } = limits;
    for (let n = 0; n < 1000; n += 1) {
      expect(limits.check('a')).toBe('client');
      limits.check(`asks only ${n}`);
    }
    limits.close('a');
    expect(limits.check('a')).toBe('rate');
    expect(limits.size).toBe(size - 1);
  });

  it('keep nothing of who left long ago', () => {
    let now = 0;
    const limits = new ClientLimits({ maxConnectionsPerClient: 5, connectionRatePerClient: 5 }, () => now);
    for (let n = 0; n < 1000; n += 1) {
      limits.open(`${n}`);
      limits.close(`${n}`);
    }
    for (let n = 0; n < 3; n += 1) {
      limits.open('a');
      now += minute;
    }
    expect(limits.size).toBeLessThan(5);
  });

  it('remember a bounded number of clients, and longest the ones that keep coming', () => {
    const limits = new ClientLimits({ maxConnectionsPerClient: none, connectionRatePerClient: 20 }, () => 0);
    for (let n = 0; n < 300_000; n += 1) {
      limits.open(`${n}`);
      if (n % 20_000 === 0) limits.open('a');
    }
    expect(limits.size).toBeLessThanOrEqual(131_072);
    for (let n = 0; n < 5; n += 1) limits.open('a');
    expect(limits.check('a')).toBe('rate');
  });
});
