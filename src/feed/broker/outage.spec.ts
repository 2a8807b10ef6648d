import { BrokerUnavailableError, reasonOf } from '../errors/broker.errors.js';
import { Outage } from './outage.js';

describe('an outage', () => {
  let logged: string[];
  let outage: Outage;

  beforeEach(() => {
    logged = [];
    outage = new Outage('Redis', (message) => logged.push(message));
  });

  it('is logged with each of its reasons once, and when it is over', () => {
    expect(outage).toMatchObject({ since: expect.any(Number), reason: undefined });
    for (const reason of ['one', 'one', 'other', 'one']) outage.note(reason);
    expect(outage).toMatchObject({ since: expect.any(Number), reason: 'one' });
    outage.end();
    outage.end();
    expect(outage).toMatchObject({ since: undefined, reason: undefined });
    outage.note('one');
    expect(logged).toEqual([
      'Redis is unavailable: one',
      'Redis is unavailable: other',
      'Redis is available again.',
      'Redis is unavailable: one',
    ]);
  });

  it('is not logged for ever', () => {
    for (let n = 0; n < 100; n += 1) outage.note(`port ${n}`);
    expect(logged).toHaveLength(10);
    expect(outage.reason).toBe('port 99');
  });

  it('is not logged where the server was available from the start', () => {
    outage.end();
    expect(logged).toEqual([]);
  });

  it('has a reason where an error has no message', () => {
    expect(reasonOf(Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' }))).toBe('ECONNREFUSED');
    expect(reasonOf(new Error('no'))).toBe('no');
    expect(reasonOf(new BrokerUnavailableError('Redis is unavailable: no', { cause: new Error('no') }))).toBe('no');
    expect(reasonOf('text')).toBe('text');
  });
});
