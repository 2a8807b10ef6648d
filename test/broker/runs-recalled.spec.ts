import { setImmediate as settled } from 'node:timers/promises';
import { NEVER } from 'rxjs';
import type { Broker, History } from '../../src/feed/broker/broker.js';
import { leasesFeed } from '../../src/feed/cluster/leases.js';
import { BrokerUnavailableError } from '../../src/feed/errors/broker.errors.js';
import { endContent } from '../../src/feed/message/end.js';
import { Bus } from '../support/bus.js';
import { closeAll, serveFeeds, until } from '../support/serve.js';

describe('runs that are stopped or cleared at an awkward moment:', () => {
  afterEach(closeAll);

  /** Two nodes; the first one's reads of `job` can be held back when they have been done. */
  const nodes = async () => {
    const bus = new Bus();
    const held: (() => void)[] = [];
    const reads = { areHeld: (): boolean => false, held };
    const one = bus.broker();
    const { read } = one;
    one.read = async (...args: Parameters<Broker['read']>): Promise<History> => {
      const history = await read.apply(one, args);
      if (args[0] === 'job' && reads.areHeld()) await new Promise<void>((resolve) => held.push(resolve));
      return history;
    };
    const [a, b] = await Promise.all([one, bus.broker()].map((broker) => serveFeeds('express', { broker: () => broker })));
    return { one, a: a as NonNullable<typeof a>, b: b as NonNullable<typeof b>, bus, reads };
  };
  const claim = (termMs: number) => ({
    type: undefined,
    text: JSON.stringify({ holder: 'gone', termMs, take: [{ name: 'job', note: 'restart' }] }),
    isJson: true,
  });

  it.each(['stop', 'clear'] as const)('%s() elsewhere of one that only has its lease: its producer is not called', async (method) => {
    const { a, b, bus, reads } = await nodes();
    let calls = 0;
    bus.onDelivered = ({ text }) => {
      if (text.includes('"take":[{"name":"job"')) reads.areHeld = () => true;
    };
    const run = a.feeds.run('job', () => {
      calls += 1;
      return NEVER;
    });
    await until(() => reads.held.length === 1);
    reads.areHeld = () => false;
    await b.feeds[method]('job');
    reads.held[0]?.();
    expect((await run).state).toBe('ended');
    expect(calls).toBe(0);
    expect((await b.feeds.run('job', () => ['new'])).state).toBe(method === 'stop' ? 'ended' : 'started');
  });

  it('stop() elsewhere of one that is being restarted: its end stays', async () => {
    const { a, b, bus, reads } = await nodes();
    const broker = bus.broker();
    await broker.publish(leasesFeed, claim(60_000));
    let calls = 0;
    const restarted = () => {
      calls += 1;
      return NEVER;
    };
    expect((await a.feeds.run('job', restarted, { onLost: 'restart' })).state).toBe('joined');
    reads.areHeld = () => true;
    await broker.publish(leasesFeed, claim(1));
    await until(() => reads.held.length === 1);
    reads.areHeld = () => false;
    await b.feeds.stop('job');
    reads.held[0]?.();
    await settled();
    expect((await b.feeds.history('job')).messages.map(({ data }) => data)).toEqual([{ reason: 'stopped' }]);
    expect((await a.feeds.run('job', restarted)).state).toBe('ended');
    expect(calls).toBe(0);
  });

  it('stop() elsewhere of one that is being restarted, before its node hears of that: its end stays', async () => {
    const { one, a, bus } = await nodes();
    const broker = bus.broker();
    await broker.publish(leasesFeed, claim(60_000));
    let calls = 0;
    const restarted = () => {
      calls += 1;
      return NEVER;
    };
    const run = await a.feeds.run('job', restarted, { onLost: 'restart' });
    const ended = run.whenEnded();
    await until(() => a.feeds.subscribers('job') > 0);
    const { clear } = one;
    one.clear = async (...args: Parameters<Broker['clear']>) => {
      one.clear = clear;
      await broker.publish('job', endContent({ reason: 'stopped' })); // the node is asked for the lease afterwards
      await clear.apply(one, args);
    };
    await broker.publish(leasesFeed, claim(1));
    expect(await ended).toEqual({ reason: 'stopped' });
    await until(async () => (await a.feeds.run('job', restarted)).state === 'ended');
    expect((await a.feeds.history('job')).messages.map(({ data }) => data)).toEqual([{ reason: 'stopped' }]);
    expect(calls).toBe(0);
  });

  it('clear() of one whose producer has not returned its source since it is restarted', async () => {
    const { a, bus } = await nodes();
    const broker = bus.broker();
    await broker.publish(leasesFeed, claim(60_000));
    let calls = 0;
    const restarted = () => {
      calls += 1;
      return new Promise<never>(() => {});
    };
    await a.feeds.run('job', restarted, { onLost: 'restart' });
    await broker.publish(leasesFeed, claim(1));
    await until(() => calls === 1);
    await a.feeds.clear('job');
    expect((await a.feeds.run('job', () => ['new'])).state).toBe('started');
  });

  it('clear() of one that is being restarted while the broker is unavailable fails as everything does', async () => {
    const { a, bus, one } = await nodes();
    const broker = bus.broker();
    await broker.publish(leasesFeed, claim(60_000));
    const run = await a.feeds.run('job', () => ['restarted'], { onLost: 'restart' });
    const ended = run.whenEnded();
    await until(() => a.feeds.subscribers('job') > 0);
    const { clear } = one;
    let failed = 0;
    one.clear = async () => {
      Object.assign(one, { unavailableSince: Date.now() });
      failed += 1;
      throw new BrokerUnavailableError('it fails as the test asks');
    };
    await broker.publish(leasesFeed, claim(1));
    await until(() => failed > 0);
    await expect(a.feeds.clear('job')).rejects.toMatchObject({ code: 'FEED_BROKER' });
    Object.assign(one, { clear, unavailableSince: undefined });
    expect(await ended).toEqual({ reason: 'completed' });
  });
});
