import { setTimeout as sleep } from 'node:timers/promises';
import type { Broker } from '../../src/feed/broker/broker.js';
import type { Claim, LeaseListener } from '../../src/feed/cluster/lease-claim.js';
import { Leases, leasesFeed } from '../../src/feed/cluster/leases.js';
import { BrokerUnavailableError } from '../../src/feed/errors/broker.errors.js';
import type { StoredMessage } from '../../src/feed/message/message.js';
import { describeBrokers, engineOf, roomy } from '../support/brokers.js';
import { Bus } from '../support/bus.js';
import { atEnd } from '../support/ends.js';
import { until } from '../support/until.js';

/** Short, so that nothing waits long for a lease to expire. */
const termMs = 600;

/** A node that records what it hears of leases. */
class Holder implements LeaseListener {
  readonly heard: string[] = [];

  constructor(readonly leases: Leases) {}

  onExpired(name: string, note: string | undefined) {
    this.heard.push(`expired ${name} ${note}`);
  }
  onReleased(name: string) {
    this.heard.push(`released ${name}`);
  }
  onRecalled(name: string) {
    this.heard.push(`recalled ${name}`);
  }
  onTaken(name: string) {
    this.heard.push(`taken ${name}`);
  }
}

describeBrokers('leases:', (kind) => {
  let port = 0;
  beforeEach(async () => {
    port = (await engineOf(kind))?.port ?? 0;
  });

  const holder = async (historyLength = 1000) => {
    const broker = await kind.make(port, { ...roomy, historyLength });
    const leases = new Leases(broker, termMs);
    const one = new Holder(leases);
    leases.start(one);
    atEnd(async () => {
      leases.stop();
      await broker.close();
    });
    return { ...one, leases, broker, heard: one.heard };
  };
  const holders = (count: number) => Promise.all(Array.from({ length: kind.name === 'memory' ? 1 : count }, () => holder()));
  const names = Array.from({ length: 40 }, (_, n) => `feed${n}`);

  it('of those who take a lease at once one gets it, and keeps it for longer than a term; another one gets it once it is released', async () => {
    const all = await holders(3);
    const taken = await Promise.all(names.map((name) => Promise.all(all.map(({ leases }) => leases.take(name)))));
    for (const results of taken) expect(results.filter(Boolean)).toHaveLength(1);
    await sleep(2 * termMs);
    for (const [n, name] of names.entries()) {
      const owner = (taken[n] as boolean[]).indexOf(true);
      for (const [at, { leases }] of all.entries()) {
        expect(leases.holds(name)).toBe(at === owner);
        expect(await leases.take(name)).toBe(at === owner);
      }
    }
    for (const { heard } of all) expect(heard).toEqual([]);
    const [name] = names as [string];
    const owner = (taken[0] as boolean[]).indexOf(true);
    await all[owner]?.leases.release(name);
    await until(() => all.every(({ leases }) => !leases.isTaken(name)));
    const next = all[(owner + 1) % all.length];
    expect(await next?.leases.take(name)).toBe(true);
    for (const { heard } of all) expect(heard).toEqual([`released ${name}`]);
  });

  if (kind.name === 'memory') return;

  it('the lease of a node that is gone expires, with its note, and is taken by another; also a node that started later knows it', async () => {
    const [gone, other] = (await holders(2)) as [Awaited<ReturnType<typeof holder>>, Awaited<ReturnType<typeof holder>>];
    expect(await gone.leases.take('a', 'a note')).toBe(true);
    await until(() => other.leases.isTaken('a'));
    const late = await holder();
    expect(await late.leases.take('a')).toBe(false);
    gone.leases.stop();
    await until(() => other.heard.includes('expired a a note') && late.heard.includes('expired a a note'));
    const [one, two] = await Promise.all([other.leases.take('a'), late.leases.take('a')]);
    expect([one, two].filter(Boolean)).toHaveLength(1);
  });

  it('a node that starts where history does not tell waits until it must have heard of all leases', async () => {
    const [one] = await Promise.all([holder(0), holder(0)]);
    expect(await one.leases.take('a')).toBe(true);
    const late = await holder(0);
    expect(await late.leases.take('a')).toBe(false);
    expect(await late.leases.take('b')).toBe(true);
  });

  it('a holder is asked for its lease by any node, and releases it at once; who then takes it waits for that', async () => {
    const [one, other] = (await holders(2)) as [Awaited<ReturnType<typeof holder>>, Awaited<ReturnType<typeof holder>>];
    for (let round = 0; round < 20; round += 1) {
      const name = `a${round}`;
      const [owner, asker] = round % 2 ? [one, other] : [other, one];
      expect(await owner.leases.take(name)).toBe(true);
      expect(await asker.leases.take(name)).toBe(false);
      if (round < 10) await asker.leases.recall(name);
      else await asker.leases.free(name);
      expect(await asker.leases.take(name)).toBe(true);
      expect(owner.heard).toContain(`recalled ${name}`);
      expect(await owner.leases.take(name)).toBe(false);
    }
    for (const { heard } of [one, other]) expect(heard.filter((what) => !/^(recalled|released)/.test(what))).toEqual([]);
  });

  it('a holder that has stopped loses its lease; one that it was asked for is just over', async () => {
    const [one, other] = (await holders(2)) as [Awaited<ReturnType<typeof holder>>, Awaited<ReturnType<typeof holder>>];
    for (const name of ['a', 'b', 'c']) await one.leases.take(name);
    one.leases.stop();
    await other.leases.recall('b');
    await other.leases.free('a');
    expect(await other.leases.take('b')).toBe(true);
    await until(() => other.heard.includes('expired c undefined'));
    for (const name of ['a', 'c']) expect(await other.leases.take(name)).toBe(true);
    expect(other.heard.filter((what) => what.startsWith('expired') && !what.includes(' c '))).toEqual([]);
  });

  it.each([
    '',
    'x',
    '{}',
    '{"holder":1}',
    '{"holder":"x","termMs":-1,"take":[{"name":"a"}]}',
    '{"holder":"x","termMs":1e9,"take":[{"name":"a"}]}',
    '[]',
  ])('what is no claim changes nothing: %s', async (text) => {
    const [one] = await holders(1);
    await one?.broker.publish(leasesFeed, { type: undefined, text, isJson: false });
    expect(await one?.leases.take('a')).toBe(true);
    expect(one?.heard).toEqual([]);
  });
});

describe('leases of which something is missed or comes late:', () => {
  const holderOn = (broker: Broker, ofMs = termMs) => {
    const leases = new Leases(broker, ofMs);
    const one = new Holder(leases);
    leases.start(one);
    atEnd(() => leases.stop());
    return one;
  };

  it('a lease that is asked for in the moment in which it is taken is released', async () => {
    const bus = new Bus();
    const [one, other] = [holderOn(bus.broker()), holderOn(bus.broker())];
    let freed: Promise<void> | undefined;
    bus.onDelivered = ({ text }) => {
      if (text.includes('"take":[{"name":"a"')) freed ??= other.leases.free('a');
    };
    expect(await one.leases.take('a')).toBe(true);
    expect(one.leases.holds('a')).toBe(false);
    await freed;
    expect(await other.leases.take('a')).toBe(true);
  });

  it('a holder that has missed that its lease was asked for is asked again', async () => {
    const bus = new Bus();
    let missed = 0;
    const misses = ({ text }: StoredMessage) => text.includes('"recall":["a"]') && ++missed <= 2;
    const [one, other] = [holderOn(bus.broker(misses)), holderOn(bus.broker())];
    expect(await one.leases.take('a')).toBe(true);
    await other.leases.free('a');
    expect(missed).toBe(3);
    expect(one.heard).toEqual(['recalled a', 'released a']);
    expect(one.leases.holds('a')).toBe(false);
  });

  it('a holder that goes on though its lease was asked for keeps it: who wants it too does not wait for ever', async () => {
    const bus = new Bus();
    const misses = ({ text }: StoredMessage) => text.includes('"recall":["a"]');
    const [one, other] = [holderOn(bus.broker(misses)), holderOn(bus.broker())];
    expect(await one.leases.take('a')).toBe(true);
    await other.leases.recall('a');
    expect(await other.leases.take('a')).toBe(false);
    expect(one.leases.holds('a')).toBe(true);
  });

  it('a release that comes after its holder has taken the lease again does not leave the lease to two', async () => {
    const bus = new Bus();
    const [one, other] = [holderOn(bus.broker()), holderOn(bus.broker())];
    let taken: Claim | undefined;
    bus.onDelivered = ({ text }) => {
      taken ??= JSON.parse(text) as Claim;
    };
    expect(await one.leases.take('a')).toBe(true);
    const late = { ...(taken as Claim), take: [], release: ['a'] };
    await bus.broker().publish(leasesFeed, { type: undefined, text: JSON.stringify(late), isJson: true });
    expect(await other.leases.take('a')).toBe(true);
    expect([one, other].map(({ leases }) => leases.holds('a'))).toEqual([false, true]);
    expect(one.heard).toEqual(['released a', 'taken a']);
  });

  it('a claim that comes after it has been withdrawn leaves no lease of nobody', async () => {
    const bus = new Bus();
    const one = bus.broker();
    const other = holderOn(bus.broker());
    const { publish } = one;
    let late: (() => Promise<unknown>) | undefined;
    one.publish = async (...args) => {
      if (late) return publish(...args);
      late = () => publish(...args);
      throw new BrokerUnavailableError('it comes late as the test asks');
    };
    await expect(holderOn(one).leases.take('a')).rejects.toThrow(BrokerUnavailableError);
    await late?.();
    await until(() => other.heard.includes('released a'));
    expect(other.leases.isTaken('a')).toBe(false);
  });
});
