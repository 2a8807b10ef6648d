import { jetstreamManager, type StreamAPI } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import fc from 'fast-check';
import type { HistoryBounds } from '../../src/feed/broker/broker.js';
import { BrokerUnavailableError } from '../../src/feed/errors/broker.errors.js';
import type { Engine } from '../../tools/engines.mjs';
import type { Node } from '../support/broker-node.js';
import { type BrokerKind, describeBrokers, describeSharedBrokers, engineOf, nodeOf, roomy } from '../support/brokers.js';
import { atEnd } from '../support/ends.js';
import { clientOf } from '../support/redis.js';
import { until } from '../support/until.js';

const hour = 3_600_000;
const later = (ms = hour) => Date.now() + ms;

let engine: Engine | undefined;
const nodesOf = (kind: BrokerKind) => {
  beforeEach(async () => {
    engine = await engineOf(kind);
  });
  const node = async (bounds: Partial<HistoryBounds> = {}, prefix?: string) =>
    nodeOf(await kind.make(engine?.port ?? 0, { ...roomy, ...bounds }, prefix));
  const nodes = (count: number) => Promise.all(Array.from({ length: kind.name === 'memory' ? 1 : count }, () => node()));
  return { node, nodes };
};
const remembered = async ({ broker }: Node) => [...(await broker.remembered())].sort();

describeBrokers('the broker contract, names that are remembered:', (kind: BrokerKind) => {
  const { node, nodes } = nodesOf(kind);

  it('what one node remembers, any node knows, also one that starts later', async () => {
    const [one, other = one] = (await nodes(2)) as [Node, Node];
    expect(await remembered(one)).toEqual([]);
    const [year, minute] = [later(365 * 24 * hour), later(60_000)];
    await one.broker.remember('sub:alice', year);
    await other.broker.remember('jti:1', minute);
    const late = kind.name === 'memory' ? one : await node();
    for (const each of [one, other, late]) {
      expect(await remembered(each)).toEqual([
        ['jti:1', minute],
        ['sub:alice', year],
      ]);
    }
    const elsewhere = await node({}, 'elsewhere');
    expect(await remembered(elsewhere)).toEqual([]);
    await elsewhere.broker.remember('sub:bob', year);
    expect(await remembered(one)).toHaveLength(2);
  });

  it('the later of two times holds, whichever comes last, and where nodes race', async () => {
    const [one, other = one] = (await nodes(2)) as [Node, Node];
    const [soon, late] = [later(), later(2 * hour)];
    await one.broker.remember('a', late);
    await other.broker.remember('a', soon);
    await one.broker.remember('b', soon);
    await other.broker.remember('b', late);
    for (const each of [one, other]) {
      expect(await remembered(each)).toEqual([
        ['a', late],
        ['b', late],
      ]);
    }
    const times = Array.from({ length: 60 }, (_, n) => late + ((n * 37) % 60));
    await Promise.all(times.map((time, n) => (n % 2 ? one : other).broker.remember('race', time)));
    for (const each of [one, other]) expect(new Map(await remembered(each)).get('race')).toBe(late + 59);
  });

  it('a name is forgotten when its time has come, and may be remembered again', async () => {
    const [one, other = one] = (await nodes(2)) as [Node, Node];
    const [gone, stays] = [later(700), later()];
    await one.broker.remember('gone', gone);
    await one.broker.remember('longer', gone);
    await one.broker.remember('past', later(-1));
    await other.broker.remember('longer', stays);
    await until(() => Date.now() > gone);
    for (const each of [one, other]) expect(await remembered(each)).toEqual([['longer', stays]]);
    await other.broker.remember('gone', stays);
    for (const each of [one, other]) {
      expect(await remembered(each)).toEqual([
        ['gone', stays],
        ['longer', stays],
      ]);
    }
  });

  it('a name is any text', async () => {
    const [one, other = one] = (await nodes(2)) as [Node, Node];
    const expected = new Map<string, number>();
    const remember = async (name: string) => {
      const time = later() + expected.size;
      await one.broker.remember(name, time);
      expected.set(name, time);
    };
    const hostile = ['', ' ', '*', '>', 'a.b', 'a.*', 'a\r\nb', '\0', '"', "'", '\\', '%', '{a}', '__proto__', 'constructor', '1', '-inf'];
    const odd = ['\ud800', '\udfff', '\ufffd', '😀'.repeat(150), 'ä', 'a\u0308', '\u2028', 'x'.repeat(300), '½'.repeat(300)];
    for (const name of [...hostile, ...odd]) await remember(name);
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 300 }), async (name) => {
        if (!expected.has(name)) await remember(name);
      }),
      { numRuns: 100 },
    );
    expect(new Map(await other.broker.remembered())).toEqual(expected);
  });

  it('ten thousand names are remembered, also by nodes that read while they are added and extended', async () => {
    const [one, other = one] = (await nodes(2)) as [Node, Node];
    const time = later();
    const names = Array.from({ length: 10_000 }, (_, n) => `jti:${n}`);
    const add = async (some: readonly string[], until: number) => {
      for (let n = 0; n < some.length; n += 500) {
        await Promise.all(some.slice(n, n + 500).map((name, m) => (m % 2 ? one : other).broker.remember(name, until)));
      }
    };
    await add(names, time);
    expect(new Map(await other.broker.remembered())).toEqual(new Map(names.map((name) => [name, time])));
    let isOver = false;
    const extending = add(names, time + 1).finally(() => {
      isOver = true;
    });
    while (!isOver) {
      const found = await one.broker.remembered();
      expect(names.filter((name) => !found.has(name))).toEqual([]);
    }
    await extending;
    expect(new Map(await other.broker.remembered())).toEqual(new Map(names.map((name) => [name, time + 1])));
  });

  it('bounds of history drop no name, and no message does', async () => {
    const one = await node({ historyLength: 1, historyBytes: 1, historyTotalBytes: 1, historyTtlMs: 1, idempotencyMs: 1 });
    const time = later();
    await one.broker.remember('a', time);
    // More than the stream of NATS has room for.
    for (let n = 0; n < 20; n += 1) await one.publish(`feed${n % 3}`, 'x'.repeat(1_000_000));
    for (const feed of ['feed0', 'a', 'sub:alice']) await one.broker.clear(feed);
    expect(await remembered(one)).toEqual([['a', time]]);
    expect(await one.read('a', 'earliest')).toEqual([]);
  });
});

describeSharedBrokers('names that are remembered, and the server:', (kind: BrokerKind) => {
  const { nodes } = nodesOf(kind);
  const server = () => engine as Engine;

  it('are there after its restart; until then neither way goes', async () => {
    const [one, other] = (await nodes(2)) as [Node, Node];
    const time = later();
    const names = Array.from({ length: 200 }, (_, n) => `sub:${n}`);
    await Promise.all(names.map((name) => one.broker.remember(name, time)));
    await server().kill();
    await expect(other.broker.remember('late', time)).rejects.toThrow(BrokerUnavailableError);
    await expect(other.broker.remembered()).rejects.toThrow(BrokerUnavailableError);
    await server().restart();
    await until(() => one.isAvailable && other.isAvailable);
    expect(new Map(await other.broker.remembered())).toEqual(new Map(names.map((name) => [name, time])));
    await other.broker.remember('late', time);
    expect((await one.broker.remembered()).get('late')).toBe(time);
  });

  it('a server that does not answer fails both', async () => {
    const [one] = (await nodes(1)) as [Node];
    await one.broker.remember('a', later());
    server().pause();
    atEnd(() => server().resume());
    const fails = (error: unknown) => error instanceof BrokerUnavailableError;
    await until(() => one.broker.remember('b', later()).then(() => false, fails)); // an answer may have been on its way
    await expect(one.broker.remembered()).rejects.toThrow(BrokerUnavailableError);
    server().resume();
    await until(() => one.isAvailable);
    expect((await one.broker.remembered()).has('a')).toBe(true);
  });

  if (kind.name === 'redis') {
    const key = '{a}:remembered';

    it('are deleted once their time is over, by the next call, and expire in no other way', async () => {
      const [one] = (await nodes(1)) as [Node];
      const redis = clientOf(server());
      await one.broker.remember('past', later(-1));
      expect(await redis.zcard(key)).toBe(1);
      await one.broker.remember('b', later());
      expect(await redis.zrange(key, 0, '-1')).toEqual(['"b"']);
      await redis.zadd(key, 1, '"old"');
      await one.broker.remembered();
      expect(await redis.zrange(key, 0, '-1')).toEqual(['"b"']);
      expect(await redis.ttl(key)).toBe(-1);
    });

    it('fail where another program has stored something else in their place, and pass over what it has added', async () => {
      const [one] = (await nodes(1)) as [Node];
      const redis = clientOf(server());
      await redis.set(key, 'x');
      await expect(one.broker.remember('a', later())).rejects.toThrow(BrokerUnavailableError);
      await expect(one.broker.remembered()).rejects.toThrow(/WRONGTYPE/);
      await redis.del(key);
      await one.broker.remember('a', later());
      expect(one.isAvailable).toBe(true);
      for (const junk of ['no JSON', '1', '']) await redis.zadd(key, later(), junk);
      expect((await remembered(one)).map(([name]) => name)).toEqual(['a']);
    });
  } else {
    const name = 'a-remembered';
    let connection: NatsConnection;
    let streams: StreamAPI;
    beforeEach(async () => {
      connection = await connect({ servers: `127.0.0.1:${server().port}` });
      atEnd(() => connection.close());
      streams = (await jetstreamManager(connection)).streams;
    });

    it('have a stream of their own from the first one on, with a message for each', async () => {
      const [one, other] = (await nodes(2)) as [Node, Node];
      expect(await remembered(one)).toEqual([]);
      await expect(streams.info(name)).rejects.toThrow('stream not found');
      await Promise.all([one, other].map(({ broker }) => broker.remember('x', later())));
      await one.broker.remember('x', later(2 * hour));
      const { config, state } = await streams.info(name);
      expect(config).toMatchObject({ subjects: [`${name}.*`], max_msgs_per_subject: 1, max_age: 0, max_bytes: -1, max_msgs: -1 });
      expect(state.messages).toBe(1);
      // Where it has been deleted, it comes back.
      await streams.delete(name);
      expect(await remembered(other)).toEqual([]);
      await one.broker.remember('y', later());
      expect((await remembered(other)).map(([name]) => name)).toEqual(['y']);
    });

    it('are remembered by all of many nodes that create the stream at the same time', async () => {
      const all = (await nodes(4)) as Node[];
      for (let round = 0; round < 30; round += 1) {
        await Promise.all(all.map(({ broker }, n) => broker.remember(`${n}`, later())));
        expect(await remembered(all[0] as Node)).toHaveLength(4);
        await streams.delete(name);
      }
    });

    it('are deleted an hour after their time by who reads, and what other programs have published is passed over', async () => {
      const [one] = (await nodes(1)) as [Node];
      for (let n = 0; n < 120; n += 1) await one.broker.remember(`old ${n}`, later(-2 * hour));
      await one.broker.remember('just over', later(-1));
      await one.broker.remember('x', later());
      for (const junk of ['', 'x', '{}', '{"name":1,"until":2}', '[]']) connection.publish(`${name}.${junk.length}`, junk);
      await connection.flush();
      const names = async () => (await remembered(one)).map(([name]) => name);
      const subjects = async () => Object.keys((await streams.info(name, { subjects_filter: '>' })).state.subjects ?? {});
      await until(async () => {
        expect(await names()).toEqual(['x']);
        return (await subjects()).filter((subject) => !/\.\d+$/.test(subject)).length === 2;
      });
      await one.broker.remember('old 0', later());
      expect(await names()).toEqual(['old 0', 'x']);
    });

    it('leave alone a stream that has their name and is not their own', async () => {
      const [one] = (await nodes(1)) as [Node];
      await streams.add({ name, subjects: ['elsewhere'] });
      await expect(one.broker.remember('x', later())).rejects.toThrow(
        /"a-remembered" belongs to another application: choose another prefix/,
      );
    });
  }
});
