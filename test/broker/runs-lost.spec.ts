import { setTimeout as sleep } from 'node:timers/promises';
import type { Broker } from '../../src/feed/broker/broker.js';
import { BrokerUnavailableError } from '../../src/feed/errors/broker.errors.js';
import type { Engine } from '../../tools/engines.mjs';
import { describeSharedBrokers, engineOf, linkTo } from '../support/brokers.js';
import { closeAll, serveFeeds, until } from '../support/serve.js';

/** Which calls fail, and whether what they were given is stored all the same. */
interface Faults {
  left: number;
  meets(method: string, feed: string, text: string): boolean;
  isStored: boolean;
}
const none = (): Faults => ({ left: 0, meets: () => false, isStored: false });

/** A broker of which some calls fail, as where a connection breaks. */
function faulty(broker: Broker, faults: Faults): Broker {
  return new Proxy(broker, {
    get(_, name) {
      const value: unknown = Reflect.get(broker, name, broker);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        const [feed, content] = args as [string, { text?: string } | undefined];
        const call = () => value.apply(broker, args);
        if (faults.left === 0 || !faults.meets(String(name), feed, content?.text ?? '')) return call();
        faults.left -= 1;
        const failed = new BrokerUnavailableError('it fails as the test asks');
        return Promise.resolve(faults.isStored ? call() : undefined).then(() => Promise.reject(failed));
      };
    },
  });
}

describeSharedBrokers('runs of a node that is gone:', (kind) => {
  if (kind.client !== undefined) return;
  let engine: Engine;
  beforeEach(async () => {
    engine = (await engineOf(kind)) as Engine;
  });
  afterEach(closeAll);

  /** @param prefix what the nodes of a case share, and no other */
  const node = (prefix: string, port: number, faults = none()) =>
    serveFeeds('express', { broker: async (context) => faulty(await kind.make(port, context, prefix), faults) });
  /** Each case waits until a lease is over: so all of them do at the same time. */
  const each = (cases: [string, Partial<Faults>][], run: (prefix: string, faults: Partial<Faults>) => Promise<void>) =>
    Promise.all(
      cases.map(([name, faults]) =>
        run(name.replace(/\W+/g, '-'), faults).catch((cause) => {
          throw new Error(`where the broker fails as it ${name}`, { cause });
        }),
      ),
    );
  const on = (method: string) => (called: string, feed: string) => called === method && feed === 'job';
  const claims = (_: string, feed: string, text: string) => feed === '$leases' && text.includes('"take":[{"name":"job"');
  const gone = { reason: 'failed', message: 'The node that ran the producer of this feed is no longer available.' };
  const forever = async function* () {
    for (let n = 0; ; n += 1) {
      yield `${n}`;
      await sleep(50);
    }
  };

  const failures: [string, Partial<Faults>][] = [
    ['reads', { left: 3, meets: on('read') }],
    ['publishes', { left: 3, meets: on('publish') }],
    ['publishes what is stored', { left: 1, meets: on('publish'), isStored: true }],
    ['takes the lease', { left: 1, meets: claims }],
    ['takes the lease, which is stored', { left: 1, meets: claims, isStored: true }],
  ];
  const endedByTheOther = async (prefix: string, given: Partial<Faults>) => {
    const link = await linkTo(engine);
    const faults = none();
    const [lost, left] = await Promise.all([node(prefix, link.port), node(prefix, engine.port, faults)]);
    expect((await lost.feeds.run('job', forever)).state).toBe('started');
    const run = await left.feeds.run('job', forever);
    expect(run.state).toBe('joined');
    const ended = run.whenEnded();
    await until(() => left.feeds.subscribers('job') > 0);
    Object.assign(faults, given);
    link.cut();
    expect(await ended).toEqual(gone);
    expect(faults.left).toBe(0);
    await left.feeds.clear('job');
    const again = await left.feeds.run('job', () => ['new']);
    expect(again.state).toBe('started');
    expect(await again.whenEnded()).toEqual({ reason: 'completed' });
  };
  it('the only one left ends them, though its broker fails in the middle', () => each(failures, endedByTheOther));

  const restartedByTheOther = async (prefix: string, given: Partial<Faults>) => {
    const link = await linkTo(engine);
    const faults = none();
    const [lost, left] = await Promise.all([node(prefix, link.port), node(prefix, engine.port, faults)]);
    let calls = 0;
    const restarted = () => {
      calls += 1;
      return ['new'];
    };
    await lost.feeds.run('job', forever, { onLost: 'restart' });
    const run = await left.feeds.run('job', restarted, { onLost: 'restart' });
    expect(run.state).toBe('joined');
    const ended = run.whenEnded();
    await until(() => left.feeds.subscribers('job') > 0);
    Object.assign(faults, given);
    link.cut();
    expect(await ended).toEqual({ reason: 'completed' });
    expect([calls, faults.left]).toEqual([1, 0]);
    expect((await left.feeds.history('job')).messages.map(({ data }) => data)).toEqual(['new', { reason: 'completed' }]);
  };
  it('they are restarted once, though the broker fails in the middle', () =>
    each(
      ['clear', 'read', 'publish'].map((method) => [`${method}s`, { left: 2, meets: on(method) }]),
      restartedByTheOther,
    ));

  const leftAlone = async (prefix: string, given: Partial<Faults>) => {
    const faults = none();
    const [one, other] = await Promise.all([node(prefix, engine.port, faults), node(prefix, engine.port)]);
    await other.feeds.publish('job', 'before');
    Object.assign(faults, given);
    await expect(one.feeds.run('job', forever)).rejects.toMatchObject({ code: 'FEED_BROKER' });
    await until(() => faults.left === 0);
    // Nobody takes it for a run whose node is gone.
    await sleep(8000);
    expect((await other.feeds.history('job')).messages.map(({ data }) => data)).toEqual(['before']);
    const run = await other.feeds.run('job', () => ['new']);
    expect(run.state).toBe('started');
    expect(await run.whenEnded()).toEqual({ reason: 'completed' });
  };
  it('a run that could not begin leaves its feed as it was', () => {
    // The claim, and its withdrawal at first.
    const meets = (_: string, feed: string, text: string) => feed === '$leases' && /"(take|release)":\[.*job/.test(text);
    return each(
      [
        ['claims', { left: 2, meets }],
        ['claims what is stored', { left: 2, meets, isStored: true }],
      ],
      leftAlone,
    );
  });
});
