import { BrokerUnavailableError, reasonOf } from '../errors/broker.errors.js';
import { Outage } from './outage.js';

describe('an outage', () => {
  it('is not logged for ever, and another one again', () => {
    const logged: string[] = [];
    const outage = new Outage('Redis', (message) => logged.push(message));
    for (let n = 0; n < 100; n += 1) outage.note(`port ${n}`);
    expect(logged).toHaveLength(10);
    expect(outage.reason).toBe('port 99');
    outage.end();
    outage.note('port 0');
    expect(logged.slice(10)).toEqual(['Redis is available again.', 'Redis is unavailable: port 0']);
  });

  it('has a reason where an error has no message', () => {
    expect(reasonOf(Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' }))).toBe('ECONNREFUSED');
    expect(reasonOf(new Error('no'))).toBe('no');
    expect(reasonOf(new BrokerUnavailableError('Redis is unavailable: no', { cause: new Error('no') }))).toBe('no');
    expect(reasonOf('text')).toBe('text');
  });
});
