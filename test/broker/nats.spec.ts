import { cp, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DiscardPolicy, type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { connect, millis, type NatsConnection } from '@nats-io/transport-node';
import { generate } from 'selfsigned';
import type { HistoryBounds } from '../../src/feed/broker/broker.js';
import { type NatsBrokerOptions, natsBroker } from '../../src/feed/broker/nats/index.js';
import { leastLength } from '../../src/feed/broker/nats/nats-limits.js';
import { BrokerUnavailableError, MessageTooLargeError } from '../../src/feed/errors/broker.errors.js';
import { FeedOptionsError } from '../../src/feed/errors/feed-options.error.js';
import type { StoredMessage } from '../../src/feed/message/message.js';
import { type FeedRules, RuleSet } from '../../src/feed/pubsub/rules.js';
import { type Engine, freePort, missing } from '../../tools/engines.mjs';
import { numbers, positionOf } from '../support/broker-node.js';
import { linkTo, nodeOf, roomy, startEngine } from '../support/brokers.js';
import { atEnd, temporaryFolder } from '../support/ends.js';
import { until } from '../support/until.js';

describe('natsBroker()', () => {
  it.each<[string | NatsBrokerOptions, string, RegExp]>([
    ['http://localhost', 'url', /nats:\/\/host1:4222,host2:4222 or tls:\/\//],
    ['nats://', 'url', /nats:\/\/host1:4222/],
    ['nats://user:secret word@local host', 'url', /host:port/],
    ['nats://a:99999', 'url', /host:port, not "a:99999"/],
    ['nats://a,,b', 'url', /host:port, not ""/],
    ['nats://a?stream=b', 'url', /no \?stream=/],
    ['nats://a?prefix=a.b', 'prefix', /1 to 64 letters, digits, - and _, not "a.b"/],
    ['nats://a?prefix=', 'prefix', /not ""/],
    [{ prefix: 'a b' }, 'prefix', /not "a b"/],
    [{ servers: ['a', 'b:c'] }, 'servers', /host:port, not "b:c"/],
    [{ servers: 'a', url: 'nats://b' }, 'servers', /either "url" or "servers"/],
    [{ client: { servers: 'a' } as object }, 'client', /cannot have "servers"/],
    ['nats://a?replicas=9', 'replicas', /1 to 5 servers, not "9"/],
    [{ replicas: 0 }, 'replicas', /must be 1 or more servers, not 0/],
    [{ host: 'a' } as NatsBrokerOptions, 'host', /no option "host"; it has url, servers, prefix, replicas, client/],
  ])('refuses %j at once', (options, option, message) => {
    expect(() => natsBroker(options)).toThrow(FeedOptionsError);
    expect(() => natsBroker(options)).toThrow(
      expect.objectContaining({ code: 'FEED_OPTIONS', option, message: expect.stringMatching(message) }),
    );
    expect(() => natsBroker(options)).not.toThrow(/secret/);
  });

  it.each<string | NatsBrokerOptions>([
    'nats://a',
    'tls://a:4222,b:4223,[::1]:4224/?prefix=x_Y-1',
    'nats://user:p%40ss@a',
    'nats://token@a',
    'nats://a?prefix=x&replicas=3',
    { servers: ['a', 'nats://b:1'], prefix: 'x', replicas: 3, client: { name: 'me' } },
    {},
  ])('takes %j', (options) => {
    expect(natsBroker(options)).toBeInstanceOf(Function);
  });
});

(missing().includes('nats-server') ? describe.skip : describe)('the NATS broker', () => {
  let engine: Engine;
  let connection: NatsConnection;
  let manager: JetStreamManager;
  let said: string[];

  const node = async (options: NatsBrokerOptions = {}, bounds: Partial<HistoryBounds> = {}, port = engine.port) => {
    const make = natsBroker({ servers: `127.0.0.1:${port}`, ...options });
    return nodeOf(await make({ ...roomy, ...bounds, log: (message) => said.push(message) }));
  };
  const linked = async (bounds: Partial<HistoryBounds> = {}) => {
    const link = await linkTo(engine);
    return { link, cut: await node({}, bounds, link.port) };
  };

  /** What a server that was restarted says of the stream. */
  const restored = async () => {
    const again = await connect({ servers: `127.0.0.1:${engine.port}` });
    atEnd(() => again.close());
    return (await jetstreamManager(again)).streams.info('nestjs-feed');
  };

  beforeEach(async () => {
    said = [];
    engine = await startEngine('nats');
    connection = await connect({ servers: `127.0.0.1:${engine.port}` });
    atEnd(() => connection.close());
    manager = await jetstreamManager(connection);
  });

  it('takes what nodes publish that make the stream at the same time, with or without the same limits', async () => {
    for (let round = 0; round < 25; round += 1) {
      const all = await Promise.all([1, 2, 3, 4].map((n) => node({ prefix: `p${round}` }, { historyLength: round % 2 ? 100 * n : 100 })));
      const published = await Promise.all(all.map((each, n) => each.publish('a', `${n}`)));
      expect(published.map(({ offset }) => offset).sort()).toEqual([1, 2, 3, 4]);
      await Promise.all(all.map(({ broker }) => broker.close()));
    }
  });

  it('is unavailable with the reason of NATS where the stream of another application has its subjects', async () => {
    await manager.streams.add({ name: 'other', subjects: ['nestjs-feed.>'] });
    const { broker } = await node();
    expect(broker.unavailableReason).toMatch(/subjects overlap/);
  });

  it('makes a stream with the limits of history, and gives one that is there the limits of whoever comes last', async () => {
    await node({}, { historyLength: 7000, historyTtlMs: 5000, historyTotalBytes: 1e8, idempotencyMs: 1000 });
    const { config } = await manager.streams.info('nestjs-feed');
    expect(config).toMatchObject({
      subjects: ['nestjs-feed.>'],
      max_msgs_per_subject: 7000,
      max_bytes: 1e8,
      storage: 'file',
      num_replicas: 1,
    });
    expect(millis(config.max_age)).toBe(5000);
    await node({}, { historyLength: 0, historyTtlMs: 1, idempotencyMs: 1 });
    const changed = (await manager.streams.info('nestjs-feed')).config;
    expect(changed.max_msgs_per_subject).toBe(leastLength);
    expect(millis(changed.max_age)).toBe(100);
    // It has room for the feeds with the widest rules; where one keeps newest messages, they stay as long as there are bytes.
    const rules = { a: { historyLength: 9000 }, b: { historyTtlMs: 90_000 } };
    const limits = async (some: FeedRules) => {
      await node({}, { retention: new RuleSet(some, roomy).retention });
      const { max_msgs_per_subject, max_age } = (await manager.streams.info('nestjs-feed')).config;
      return [max_msgs_per_subject, millis(max_age)];
    };
    expect(await limits(rules)).toEqual([9000, 90_000]);
    expect(await limits({ ...rules, c: { keepNewest: true } })).toEqual([9000, 0]);
  });

  it('is unavailable while a full stream that discards new messages rejects them', async () => {
    const one = await node();
    await one.publish('a', '1');
    const { config } = await manager.streams.info('nestjs-feed');
    await manager.streams.update('nestjs-feed', { ...config, discard: DiscardPolicy.New, max_msgs: 1 });
    await expect(one.publish('a', '2')).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE', isNotStored: true });
    expect(one.broker.unavailableSince).toBeDefined();
    expect(one.broker.unavailableReason).toMatch(/rejects messages: .*maximum messages exceeded/);
    await manager.streams.update('nestjs-feed', config);
    await one.publish('a', '3');
    expect(one.broker.unavailableSince).toBeUndefined();
    expect(said.at(-1)).toBe('NATS is available again.');
    expect(await one.read('a', 'earliest')).toEqual(['1', '3']);
  });

  it('stores the stream on as many servers as the URL says, and leaves it those that an operator gave it', async () => {
    const routes: number[] = [];
    for (let n = 0; n < 3; n += 1) routes.push(await freePort());
    const servers = await Promise.all(
      routes.map((port, n) => {
        const others = routes.filter((other) => other !== port).map((other) => `nats://127.0.0.1:${other}`);
        const cluster = ['--cluster_name', 'c', '--cluster', `nats://127.0.0.1:${port}`, '--routes', others.join()];
        return startEngine('nats', '--server_name', `s${n}`, ...cluster);
      }),
    );
    const clustered = async (query: string) => {
      const hosts = servers.map(({ port }) => `127.0.0.1:${port}`);
      const one = nodeOf(await natsBroker(`nats://${hosts}${query}`)({ ...roomy, log: () => {} }));
      await until(() => one.isAvailable);
      const time = Date.now() + 3_600_000;
      await until(() =>
        one.broker.remember(`sub:${query}`, time).then(
          () => true,
          () => false,
        ),
      );
      return [...(await one.broker.remembered()).keys()].sort();
    };
    const replicas = async () => {
      const own = await connect({ servers: `127.0.0.1:${servers[0]?.port}` });
      const { streams } = await jetstreamManager(own);
      const infos = await Promise.all(['nestjs-feed', 'nestjs-feed-remembered'].map((name) => streams.info(name)));
      await own.close();
      return infos.map(({ config }) => config.num_replicas);
    };
    expect(await clustered('?replicas=3')).toEqual(['sub:?replicas=3']);
    expect(await replicas()).toEqual([3, 3]);
    expect(await clustered('')).toEqual(['sub:', 'sub:?replicas=3']);
    expect(await replicas()).toEqual([3, 3]);
  });

  it('leaves alone a stream that has its name and is not its own', async () => {
    await manager.streams.add({ name: 'orders', subjects: ['elsewhere'] });
    const refused = await node({ prefix: 'orders' });
    expect(refused.broker.unavailableSince).toBeDefined();
    expect(said.join()).toMatch(/"orders" belongs to another application: choose another prefix/);
    await expect(refused.publish('a', '1')).rejects.toThrow(BrokerUnavailableError);
    expect((await manager.streams.info('orders')).config.subjects).toEqual(['elsewhere']);
  });

  it('goes on when its consumer is deleted, and acknowledges what is stored meanwhile', async () => {
    const [one, other] = [await node(), await node()];
    await one.subscribe('a');
    await other.count('a', 1, 3);
    for await (const { name } of manager.consumers.list('nestjs-feed')) await manager.consumers.delete('nestjs-feed', name);
    await Promise.all(numbers(4, 6).map((text) => other.publish('a', text)));
    await until(() => said.length >= 2 && one.isAvailable && other.isAvailable);
    await until(() => one.of('a').length === 6);
    expect(one.texts('a')).toEqual(['1', '2', '3', '4', '5', '6']);
  });

  it('tells that all is lost when its stream is deleted, and makes another', async () => {
    const [one, other] = [await node(), await node()];
    await one.subscribe('a', 'b');
    const [first] = await other.count('a', 1, 3);
    await until(() => one.of('a').length === 3);
    await manager.streams.delete('nestjs-feed');
    await until(() => one.texts('b').length > 0 && one.isAvailable && other.isAvailable);
    await other.count('a', 4, 5);
    await until(() => one.texts('a').includes('5'));
    expect(one.texts('a')).toEqual(['1', '2', '3', 'lost', '4', '5']);
    expect(one.texts('b')).toEqual(['lost']);
    expect(await one.history('a', positionOf(first as StoredMessage))).toMatchObject({ isReset: true });
  });

  it.each([
    ['fewer messages', 0],
    ['others in their place', 4],
  ])('trusts no id any more when the engine comes back without the last messages: with %s', async (_, published) => {
    const { link, cut } = await linked();
    const other = await node();
    await cut.subscribe('a', 'b');
    await other.count('a', 1, 2);
    await connection.close();
    await engine.kill();
    await cp(engine.folder, `${engine.folder}-then`, { recursive: true });
    await engine.restart();
    await until(() => other.isAvailable && cut.isAvailable);
    const lost = await other.count('a', 3, 5);
    await until(() => cut.of('a').length === 5);
    await other.broker.close();
    link.cut();
    await engine.kill();
    await rm(engine.folder, { recursive: true });
    await rename(`${engine.folder}-then`, engine.folder);
    await engine.restart();
    const { created } = await restored();
    await (await node()).count('a', 6, 5 + published);
    link.sever();
    link.mend();
    await until(() => cut.texts('b').includes('lost'));
    await until(() => cut.isAvailable);
    expect(await cut.history('a', positionOf(lost[2] as StoredMessage))).toMatchObject({ isReset: true });
    await cut.count('a', 11, 12);
    expect(cut.texts('a')).toEqual(['1', '2', '3', '4', '5', 'lost', ...numbers(6, 5 + published), '11', '12']);
    // What was acknowledged since is still there.
    expect(await (await node()).read('a', 'earliest')).toEqual([...numbers(1, 2), ...numbers(6, 5 + published), '11', '12']);
    expect((await restored()).created).toBe(created);
  });

  it('passes over what somebody else has put into the stream', async () => {
    const one = await node();
    await one.subscribe('a');
    await one.publish('a', '1');
    connection.publish('nestjs-feed.a', 'hello');
    connection.publish('nestjs-feed.a');
    await connection.flush();
    await one.publish('a', '2');
    expect(one.texts('a')).toEqual(['1', '2']);
    expect(await one.read('a', 'earliest')).toEqual(['1', '2']);
  });

  it('tells a node that comes later which positions are gone, and no others', async () => {
    const one = await node({}, { historyLength: leastLength, historyBytes: 1e7 });
    const [calm] = await one.count('calm', 1, 3);
    const busy = await one.count('busy', 1, leastLength + 15);
    const [late] = await one.count('late', 1, 1);
    const later = await node({}, { historyLength: leastLength, historyBytes: 1e7 });
    const isReset = async (feed: string, message: StoredMessage | undefined) =>
      (await later.history(feed, positionOf(message as StoredMessage))).isReset;
    expect(await isReset('calm', calm)).toBe(false);
    expect(await isReset('late', calm)).toBe(false);
    expect(await isReset('late', late)).toBe(false);
    expect(await isReset('busy', calm)).toBe(true);
    expect(await isReset('busy', busy[13])).toBe(true);
    expect(await isReset('busy', busy[14])).toBe(false);
    expect(await later.read('busy', 'earliest')).toEqual(numbers(16, leastLength + 15));
    // More is kept from now on; what is gone stays gone.
    const last = await node({}, { historyLength: leastLength + 50, historyBytes: 1e7 });
    await last.count('busy', leastLength + 16, leastLength + 17);
    const newest = await node({}, { historyLength: leastLength + 50, historyBytes: 1e7 });
    expect(await newest.history('busy', positionOf(busy[0] as StoredMessage))).toMatchObject({ isReset: true });
    expect(await newest.history('busy', positionOf(busy[16] as StoredMessage))).toMatchObject({ isReset: false });
  });

  it('tells followers of all feeds when messages have grown too old while it was cut off', async () => {
    const bounds = { historyTtlMs: 1000, idempotencyMs: 1000 };
    const { link, cut } = await linked(bounds);
    const other = await node({}, bounds);
    await cut.subscribe('a', 'b', 'quiet');
    await other.count('a', 1, 2);
    await until(() => cut.of('a').length === 2);
    const { after } = await cut.history('unfollowed', 'end');
    link.cut();
    await other.count('a', 3, 4);
    await other.publish('unfollowed', '1');
    await until(async () => (await manager.streams.info('nestjs-feed')).state.messages === 0);
    await other.count('b', 1, 2);
    link.sever();
    link.mend();
    await until(() => cut.texts('quiet').length > 0 && cut.isAvailable);
    expect(cut.texts('a')).toEqual(['1', '2', 'lost']);
    expect(cut.texts('b')).toEqual(['lost', '1', '2']);
    expect(cut.texts('quiet')).toEqual(['lost']);
    expect(await cut.history('unfollowed', after)).toMatchObject({ isReset: true });
  });

  it('tells no feed but the one that lost messages, though it is the only one that has any', async () => {
    const bounds = { historyLength: leastLength, historyBytes: 1e7, historyTotalBytes: 1e10 };
    const { link, cut } = await linked(bounds);
    const other = await node({}, bounds);
    await cut.subscribe('busy', 'full', 'quiet');
    await other.count('busy', 1, leastLength);
    await until(() => cut.of('busy').length === leastLength);
    await cut.read('busy', 'end');
    link.cut();
    await other.count('busy', leastLength + 1, 2 * leastLength + 15);
    await other.count('full', 1, leastLength);
    link.sever();
    link.mend();
    await until(() => cut.texts('full').includes(`${leastLength}`));
    expect(cut.texts('busy')).toEqual([...numbers(1, leastLength), 'lost', ...numbers(leastLength + 16, 2 * leastLength + 15)]);
    expect(cut.texts('quiet')).toEqual([]);
  });

  it('says who it is, over TLS', async () => {
    const folder = await temporaryFolder();
    const pem = await generate([{ name: 'commonName', value: 'localhost' }], {
      extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
    });
    await writeFile(join(folder, 'cert'), pem.cert);
    await writeFile(join(folder, 'key'), pem.private);
    const tls = ['--tls', '--tlscert', join(folder, 'cert'), '--tlskey', join(folder, 'key')];
    const { port } = await startEngine('nats', ...tls, '--user', 'me', '--pass', 'p@ss:word');
    const url = (pass: string) => `tls://me:${pass}@localhost:${port}`;
    const known = await node({ servers: undefined, url: url('p%40ss:word'), client: { tls: { ca: pem.cert } } });
    await known.publish('a', '1');
    expect(await known.read('a', 'earliest')).toEqual(['1']);
    const unknown = await node({ servers: undefined, url: url('wrong'), client: { tls: { ca: pem.cert } } });
    await expect(unknown.publish('a', '2')).rejects.toThrow(/NATS is unavailable: .*Authorization Violation/i);
    expect(unknown.broker.unavailableReason).toMatch(/^'?Authorization Violation/i);
  });

  it('says that a user has no JetStream', async () => {
    const config = join(await temporaryFolder(), 'config');
    await writeFile(config, 'accounts { A { users: [{ user: a, password: b }] } }');
    const { port } = await startEngine('nats', '--config', config);
    const { broker } = await node({ servers: undefined, url: `nats://a:b@127.0.0.1:${port}` });
    expect(broker.unavailableReason).toMatch(/JetStream is not enabled for this user: start nats-server with --jetstream/);
  });

  it('logs that NATS is unavailable, each reason once, and once that it is available again', async () => {
    await node();
    await engine.kill();
    // The lost connection, and then that there is nobody to connect to: however often that is tried.
    await until(() => said.join().includes('ECONNREFUSED'));
    await new Promise((resolve) => setTimeout(resolve, 500));
    await engine.restart();
    await until(() => said.includes('NATS is available again.'));
    expect(said.slice(0, -1)).toEqual(said.slice(0, -1).map(() => expect.stringMatching(/^NATS is unavailable: /)));
    expect(new Set(said).size).toBe(said.length);
  });

  it('keeps the whole of a large message', async () => {
    const [one, other] = [await node(), await node({}, { historyBytes: 2e6 })];
    const limit = 2 ** 20 - 1; // one byte says what a message is
    await expect(one.publish('a', 'x'.repeat(2_000_000))).rejects.toMatchObject({ code: 'MESSAGE_TOO_LARGE', limit });
    const text = '½'.repeat(Math.floor(limit / 2));
    await one.publish('a', text);
    expect(await other.read('a', 'newest')).toEqual([text]);
    await expect(one.publish('a', 'x'.repeat(limit + 1))).rejects.toThrow(MessageTooLargeError);
    expect(one.broker.unavailableSince).toBeUndefined();
  });
});
