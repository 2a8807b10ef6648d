import { BrokerUnavailableError, reasonOf } from '../errors/broker.errors.js';
import { Outage, reasonOf } from './outage.js';

describe('an outage', () => {
  let said: string[];
  let outage: Outage;

  beforeEach(() => {
    said = [];
    outage = new Outage('Redis', (message) => said.push(message));
  });

  it('is told with each of its reasons once, and when it is over', () => {
    expect(outage).toMatchObject({ since: expect.any(Number), reason: undefined });
    for (const reason of ['one', 'one', 'other', 'one']) outage.note(reason);
    expect(outage).toMatchObject({ since: expect.any(Number), reason: 'one' });
    outage.end();
    outage.end();
    expect(outage).toMatchObject({ since: undefined, reason: undefined });
    outage.note('one');
    expect(said).toEqual(['Redis is away: one', 'Redis is away: other', 'Redis is back.', 'Redis is away: one']);
  });

  it('is not told for ever', () => {
    for (let n = 0; n < 100; n += 1) outage.note(`port ${n}`);
    expect(said).toHaveLength(10);
    expect(outage.reason).toBe('port 99');
  });

  it('is not told where the engine was there from the start', () => {
    outage.end();
    expect(said).toEqual([]);
  });

  it('has a reason also where an error has no message', () => {
    expect(reasonOf(Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' }))).toBe('ECONNREFUSED');
    expect(reasonOf(new Error('no'))).toBe('no');
    expect(reasonOf(new BrokerUnavailableError('Redis is away: no', { cause: new Error('no') }))).toBe('no');
    expect(reasonOf('text')).toBe('text');
  });
});
