import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { Cluster, Redis } from 'ioredis';
import { Redis as Redis5 } from 'ioredis-5';
import { type RedisBrokerOptions, type RedisFactory, redisBroker } from '../../src/feed/broker/redis/index.js';
import { append } from '../../src/feed/broker/redis/redis-scripts.js';
import { BrokerUnavailableError } from '../../src/feed/errors/broker.errors.js';
import { FeedOptionsError } from '../../src/feed/errors/feed-options.error.js';
import { endContent } from '../../src/feed/message/end.js';
import { RuleSet } from '../../src/feed/pubsub/rules.js';
import { type Engine, freePort, missing } from '../../tools/engines.mjs';
import { type Node, numbers, positionOf } from '../support/broker-node.js';
import { ioredis5, linkTo, nodeOf, roomy, startEngine } from '../support/brokers.js';
import { atEnd } from '../support/ends.js';
import { clientOf, neighbourOf, replicated } from '../support/redis.js';
import { until } from '../support/until.js';

const suite = missing().includes('redis-server') ? describe.skip : describe;

/** The client that brokers have which say nothing else. */
let factory: RedisFactory | undefined;

/** @param said gets what the broker logs */
async function node(given: string | RedisBrokerOptions, bounds: Partial<typeof roomy> = {}, said: string[] = []): Promise<Node> {
  const options = typeof given === 'string' && factory ? { url: given, client: factory } : given;
  return nodeOf(await redisBroker(options)({ ...roomy, ...bounds, log: (message) => said.push(message) }));
}

describe('the URL of Redis', () => {
  it.each([
    'http://127.0.0.1',
    'redis:',
    'redis://',
    'redis://host:99999',
    'redis://host/name',
    'redis://a b',
    'redis+sentinel://host',
    'redis+cluster://host/1',
    'redis://host?prefix={a}',
    'redis://host?prefix=',
    'redis://us%er:secret@host',
    'redis://:secret@a:1,b:2',
  ])('%s is refused, without telling a password', (url) => {
    expect(() => redisBroker(url)).toThrow(FeedOptionsError);
    expect(() => redisBroker(url)).not.toThrow(/secret/);
  });

  it('is told which form has several hosts', () => {
    expect(() => redisBroker('redis://a:1,b:2')).toThrow(/one host: .*redis\+sentinel:\/\/.*redis\+cluster:\/\//);
  });

  it('has no prefix of the client beside it, which channels would not get', () => {
    expect(() => redisBroker({ url: 'redis://host', client: { keyPrefix: 'app:' } })).toThrow(
      expect.objectContaining({ code: 'FEED_OPTIONS', option: 'client', message: expect.stringContaining('"prefix"') }),
    );
  });

  it.each(['rediss', 'rediss+sentinel', 'rediss+cluster'])('as %s:// has the first word said in TLS', async (scheme) => {
    const heard: number[] = [];
    const server = createServer((socket) => {
      socket
        .on('error', () => {})
        .once('data', ([first]) => {
          heard.push(first as number);
          socket.destroy();
        });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const name = scheme.endsWith('sentinel') ? '/main' : '';
    const { broker } = await node(`${scheme}://:secret@127.0.0.1:${(server.address() as AddressInfo).port}${name}`);
    await broker.close();
    server.close();
    expect(new Set(heard)).toEqual(new Set([0x16])); // a handshake's record
  });

  it.each(['redis://host', 'rediss://user:p%40ss@host:1/2', 'redis+sentinel://[::1]:26379,b/main', 'redis+cluster://a:1,b:2?prefix=x'])(
    '%s is taken',
    (url) => {
      expect(redisBroker(url)).toBeInstanceOf(Function);
    },
  );
});

describe('the client of an application', () => {
  const closed = { lazyConnect: true };

  it.each([
    ['beside a URL', new Redis(closed), 'redis://host', 'url'],
    ['with a keyPrefix', new Redis({ ...closed, keyPrefix: 'app:' }), undefined, 'client'],
    ['for a cluster', new Cluster(['redis://127.0.0.1:1'], closed) as unknown as Redis, undefined, 'client'],
  ])('%s is refused', (_, client, url, option) => {
    expect(() => redisBroker({ client, url })).toThrow(expect.objectContaining({ code: 'FEED_OPTIONS', option }));
    client.disconnect();
  });
});

suite.each([
  ['ioredis 6', Redis],
  ['ioredis 5', Redis5 as unknown as typeof Redis],
] as const)('with a client of the application: %s', (_, Client) => {
  // Options with which the broker could not work, and which are the application's business on its own client.
  const usual = {
    host: '127.0.0.1',
    stringNumbers: true,
    reconnectOnError: () => true,
    retryStrategy: () => 10,
    enableAutoPipelining: true,
  };

  it('has connections of its own, and leaves the client alone', async () => {
    const { port } = await startEngine('redis');
    const redis = new Client({ ...usual, port });
    atEnd(() => redis.disconnect());
    const [one, other] = [await node({ client: redis }), await node({ client: redis })];
    await Promise.all([one.subscribe('a'), other.subscribe('a')]);
    await one.publish('a', '1');
    await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await Promise.all([one.reconnects(), other.reconnects()]);
    await one.publish('a', '2');
    await until(() => other.of('a').length === 2);
    expect(other.texts('a')).toEqual(['1', '2']);
    await other.broker.close();
    expect(redis.mode).toBe('normal');
    expect(await redis.ping()).toBe('PONG');
  });

  it.each(['with the server of a URL', 'with its own server'])('takes those that a function makes, %s', async (where) => {
    const { port, url } = await startEngine('redis', '--requirepass', 'secret');
    const own = where.includes('URL') ? {} : { port, password: 'secret' };
    const client: RedisFactory = (options) => new Client({ ...usual, ...own, ...options });
    const follower = await node({ client, prefix: 'orders', ...(where.includes('URL') && { url: url.replace('//', '//:secret@') }) });
    await follower.subscribe('a');
    await follower.publish('a', '1');
    expect(follower.texts('a')).toEqual(['1']);
    expect(await follower.read('a', 'earliest')).toEqual(['1']);
  });
});

suite('with a connection for commands and one for announcements', () => {
  it('is unavailable while they lead to different servers', async () => {
    const [one, two] = [await startEngine('redis'), await startEngine('redis')];
    const ports = [one.port, two.port];
    const client: RedisFactory = (options) => ioredis5({ ...options, host: '127.0.0.1', port: ports.shift() ?? one.port });
    const said: string[] = [];
    const follower = await node({ client }, {}, said);
    await until(() => follower.isAvailable);
    expect(said).toEqual([expect.stringContaining('different servers'), 'Redis is available again.']);
  });

  it.each([0, 1])('reconnects when one of them is lost (%i)', async (lost) => {
    const engine = await startEngine('redis');
    const links = [await linkTo(engine), await linkTo(engine)] as const;
    let made = 0;
    const client: RedisFactory = (options) => ioredis5({ ...options, port: (links[made++ % 2] as (typeof links)[0]).port });
    const [follower, other] = [await node({ url: engine.url, client }), await node(engine.url)];
    await follower.subscribe('a');
    await follower.publish('a', '1');
    // Neither says that it is gone: one answers, the other does not.
    links[lost]?.cut();
    await other.publish('a', '2');
    await until(() => !follower.isAvailable);
    links[lost]?.mend();
    await until(() => follower.of('a').length === 2);
    expect(follower.texts('a')).toEqual(['1', '2']);
  });
});

suite.each([
  ['ioredis 6', undefined],
  ['ioredis 5', ioredis5],
] as const)('on Redis by %s', (_, made) => {
  beforeAll(() => {
    factory = made;
  });
  afterAll(() => {
    factory = undefined;
  });

  it('a database is one of its own', async () => {
    const { url } = await startEngine('redis');
    const [one, other] = [await node(url), await node(`${url}/1`)];
    await one.publish('a', '1');
    expect(await other.read('a', 'earliest')).toEqual([]);
  });

  it('a password is given', async () => {
    const engine = await startEngine('redis', '--requirepass', 'secret%');
    const right = await node(`redis://:secret%25@127.0.0.1:${engine.port}`);
    await right.publish('a', '1');
    const said: string[] = [];
    const { broker } = await node(`redis://:wrong@127.0.0.1:${engine.port}`, {}, said);
    expect(broker.unavailableSince).toBeDefined();
    expect(said.join()).toMatch(/^Redis is unavailable: .*WRONGPASS/);
    expect(said.join()).not.toContain('wrong@');
    expect(broker.unavailableReason).toMatch(/^WRONGPASS/);
  });

  it.each([
    [
      'has no sharded Pub/Sub, as before version 7',
      ['--rename-command', 'SSUBSCRIBE', ''],
      [],
      /^Redis 7 or Valkey is needed: .*ssubscribe/,
    ],
    ['lets nobody announce', [], ['resetchannels'], /^NOPERM .*channel/],
    ['lets nobody write', [], ['allchannels', '-@write'], /^(NOPERM|ERR The user executing the script can't run)/],
  ] as [string, string[], string[], RegExp][])(
    'one that %s is unavailable, says so, and stores nothing',
    async (_, more, rules, reason) => {
      const engine = await startEngine('redis', ...more);
      const redis = clientOf(engine);
      await redis.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '+@all', 'allchannels', ...rules);
      const publisher = await node(`redis://app:secret@127.0.0.1:${engine.port}`);
      const { broker } = publisher;
      await expect(publisher.publish('a', '1')).rejects.toThrow(BrokerUnavailableError);
      expect(broker.unavailableSince).toBeDefined();
      expect(broker.unavailableReason).toMatch(reason);
      expect(await redis.exists('{nestjs-feed}:feed:a')).toBe(0);
      if (rules.length === 0) return;
      await redis.call('ACL', 'SETUSER', 'app', 'allchannels', '+@all');
      await until(() => publisher.canPublish('a', '2'));
      expect(broker.unavailableSince).toBeUndefined();
      expect(await publisher.read('a', 'earliest')).toEqual(['2']);
    },
  );

  it.each([
    ['memory', 'maxmemory', '1', '0', /OOM/],
    ['replicas', 'min-replicas-to-write', '1', '0', /NOREPLICAS/],
  ] as const)('one that rejects messages for want of %s is unavailable until it takes one', async (_, setting, much, none, reason) => {
    const engine = await startEngine('redis');
    const said: string[] = [];
    const publisher = await node(engine.url, {}, said);
    const { broker } = publisher;
    await publisher.subscribe('a');
    await publisher.publish('a', '1');
    const redis = clientOf(engine);
    await redis.config('SET', setting, much);
    for (const text of ['2', '3']) await expect(publisher.publish('a', text)).rejects.toThrow(BrokerUnavailableError);
    expect(broker.unavailableSince).toBeDefined();
    expect(broker.unavailableReason).toMatch(reason);
    expect(said).toEqual([expect.stringMatching(reason)]);
    // Nor does another connection help.
    await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await until(() => said.length === 2);
    await until(() =>
      publisher.read('a', 'earliest').then(
        () => true,
        () => false,
      ),
    );
    expect(broker.unavailableSince).toBeDefined();
    await redis.config('SET', setting, none);
    await publisher.publish('a', '4');
    expect(broker.unavailableSince).toBeUndefined();
    expect(said.slice(2)).toEqual(['Redis is available again.']);
    expect(publisher.texts('a')).toEqual(['1', '4']);
  });

  it('an announcement that never came is seen by the next one, and fetched', async () => {
    const engine = await startEngine('redis');
    const follower = await node(engine.url);
    await follower.subscribe('a', 'b');
    await follower.count('a', 1, 2);
    const silent = append.replace(/^ *redis\.call\('SPUBLISH'.*$/m, '');
    expect(silent).not.toBe(append);
    const hash = createHash('sha1').update('a').digest();
    const slot = [hash.readUInt16BE(0), hash.toString('hex', 2, 6)];
    await clientOf(engine).eval(
      silent,
      2,
      '{nestjs-feed}:state',
      '{nestjs-feed}:feed:a',
      'x',
      6e7,
      ...slot,
      '',
      9e15,
      1000,
      1e6,
      0,
      't',
      '',
      '3',
      '',
      '',
    );
    await follower.publish('b', 'other');
    await until(() => follower.of('b').length === 1);
    expect(follower.texts('a')).toEqual(['1', '2']);
    // Its announcement ends the connection: on two of them, that may be before the reply has come.
    await follower.publish('a', '4').catch(() => {});
    await until(() => follower.texts('a').includes('4'));
    expect(follower.texts('a')).toEqual(numbers(1, 4));
  });

  it('what others say on a channel is passed over', async () => {
    const engine = await startEngine('redis');
    const said: string[] = [];
    const follower = await node(engine.url, {}, said);
    await follower.subscribe('a');
    const { epoch } = await follower.publish('a', '1');
    for (const text of ['', 'x', '\n\n', `${epoch} x 0 1 0 t\n\nx`, `${epoch} 1e300 0 1 0 t\n\nx`, `${epoch} 9999999999999999 0 1 0 t`]) {
      await clientOf(engine).call('SPUBLISH', '{nestjs-feed}:feed:a', text);
    }
    await follower.publish('a', '2');
    expect(follower.texts('a')).toEqual(['1', '2']);
    expect(said).toEqual([]);
  });

  it('nothing is lost when connections are killed, again and again', async () => {
    const engine = await startEngine('redis');
    const [one, other] = [await node(engine.url), await node(engine.url)];
    await Promise.all([one.subscribe('a'), other.subscribe('a')]);
    const killer = clientOf(engine);
    const sent: string[] = [];
    for (let n = 1; n <= 120; n += 1) {
      if (n % 30 === 0) await killer.call('CLIENT', 'KILL', 'TYPE', n % 60 === 0 ? 'normal' : 'pubsub', 'SKIPME', 'yes');
      await one.publish('a', `${n}`).then(
        () => sent.push(`${n}`),
        () => until(() => one.canPublish('other', 'there?')),
      );
    }
    await until(() => one.texts('a').includes(sent.at(-1) as string) && other.texts('a').includes(sent.at(-1) as string));
    for (const { of } of [{ of: one }, { of: other }]) {
      // One that was in the pipe may have got there, though it was not acknowledged.
      expect(of.texts('a').filter((text) => sent.includes(text))).toEqual(sent);
      expect(new Set(of.texts('a')).size).toBe(of.of('a').length);
    }
    expect(sent.length).toBeGreaterThan(80);
  });

  it('many reads at once, and a catch-up, stay below what Redis has a connection owe it', async () => {
    const engine = await startEngine('redis', '--client-output-buffer-limit', 'pubsub 12mb 0 0');
    const link = await linkTo(engine);
    const said: string[] = [];
    const [reader, publisher] = [await node(`redis://127.0.0.1:${link.port}`, {}, said), await node(engine.url)];
    const feeds = numbers(1, 40);
    await reader.subscribe('quiet', ...feeds);
    const publish = (text: string) => Promise.all(feeds.map((feed) => publisher.publish(feed, text.padEnd(100_000))));
    for (const text of numbers(1, 9)) await publish(text);
    const all = await Promise.all(feeds.map((feed) => reader.read(feed, 'earliest')));
    expect(all.map((texts) => texts.length)).toEqual(feeds.map(() => 9));
    expect(said).toEqual([]);

    link.cut();
    for (const text of numbers(10, 18)) await publish(text);
    link.sever();
    link.mend();
    await until(() => feeds.every((feed) => reader.of(feed).length === 18));
    expect(reader.texts('1').map((text) => text.trim())).toEqual(numbers(1, 18));
    // The link was cut; Redis has closed no connection.
    expect(said.slice(0, -1).join()).not.toMatch(/closed/i);
    expect(said.slice(-1)).toEqual(['Redis is available again.']);
  });

  it.each([
    ['its feeds have been silent for a month', 'the same'],
    ['Redis has lost all', 'another'],
  ])('a connection that is made again costs a few reads of each feed, also after %s', async (_, epoch) => {
    const engine = await startEngine('redis');
    const redis = clientOf(engine);
    const state = '{nestjs-feed}:state';
    await redis.hset(state, 'epoch', 'before', 'offset', (Date.now() - 30 * 86_400_000) * 1000);
    const follower = await node(engine.url);
    const feeds = numbers(1, 50);
    await follower.subscribe(...feeds);
    // What is known of Redis is new from now on; of the feeds it is not.
    await follower.publish('beside', 'x');
    if (epoch === 'another') await redis.hset(state, 'epoch', 'after');
    await redis.config('RESETSTAT');
    await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await follower.reconnects();
    const [, calls] = /cmdstat_evalsha:calls=(\d+)/.exec(await redis.info('commandstats')) ?? [];
    // A month in stretches that double takes 21 of them, from the beginning of time on 31; the time that history is kept takes 6.
    expect(Number(calls)).toBeLessThan(feeds.length * (epoch === 'another' ? 8 : 2));
  });

  it('all is told to be lost when somebody flushes Redis, and work goes on', async () => {
    const engine = await startEngine('redis');
    const follower = await node(engine.url);
    await follower.subscribe('a');
    await follower.count('a', 1, 2);
    await clientOf(engine).flushall();
    await until(async () => {
      await follower.publish('a', 'again').catch(() => {});
      return follower.texts('a').includes('lost') && follower.texts('a').at(-1) === 'again';
    });
    expect(follower.texts('a').slice(0, 3)).toEqual(['1', '2', 'lost']);
  });

  it('scripts that somebody flushed are loaded again', async () => {
    const engine = await startEngine('redis');
    const follower = await node(engine.url);
    await follower.subscribe('a');
    await clientOf(engine).script('FLUSH');
    await until(() => follower.canPublish('a', 'x'));
    await until(() => follower.of('a').length === 1);
  });

  it('each stream expires after the time of its rule, and stays where that keeps the newest message, until the feed ends', async () => {
    const engine = await startEngine('redis');
    const rules = { 'kept/*': { keepNewest: true, historyTtlMs: 5000 }, short: { historyTtlMs: 1000 } };
    const { retention } = new RuleSet(rules, roomy);
    const one = await node(engine.url, { retention });
    const redis = clientOf(engine);
    const leftOf = (feed: string) => redis.pttl(`{nestjs-feed}:feed:${feed}`);
    for (const feed of ['kept/a', 'short', 'plain']) await one.publish(feed, '1');
    expect(await leftOf('kept/a')).toBe(-1);
    expect(await leftOf('short')).toBeLessThanOrEqual(1000);
    expect(await leftOf('plain')).toBeGreaterThan(5000);
    expect(await redis.hget('{nestjs-feed}:state', 'ttl')).toBe('1000000');
    // A node without the rule has it expire, the next message of one with it not.
    const other = await node(engine.url);
    await other.publish('kept/a', '2');
    expect(await leftOf('kept/a')).toBeGreaterThan(5000);
    await one.publish('kept/a', '3');
    expect(await leftOf('kept/a')).toBe(-1);
    await one.broker.publish('kept/a', endContent({ reason: 'completed' }));
    expect(await leftOf('kept/a')).toBeLessThanOrEqual(5000);
    expect(await leftOf('kept/a')).toBeGreaterThan(0);
  });

  it('a feed that was silent for longer than history is not reset for a neighbour’s sake', async () => {
    const { url } = await startEngine('redis');
    const bounds = { historyTtlMs: 1000 };
    const follower = await node(url, bounds);
    const neighbour = neighbourOf('quiet');
    await follower.subscribe('quiet');
    const first = await follower.publish('quiet', '1');
    await until(async () => (await follower.read('quiet', 'earliest')).length === 0);
    await follower.publish('elsewhere', 'x');
    const { after } = await (await node(url, bounds)).history('quiet', 'end');
    await follower.count(neighbour, 1, 3);
    await follower.publish('quiet', '2');
    await until(() => follower.of('quiet').length === 2);
    expect(follower.texts('quiet')).toEqual(['1', '2']);
    expect(await follower.history('quiet', after)).toMatchObject({ isReset: false });
    // Whether anything was between the first and the second cannot be known any more.
    expect(await follower.history('quiet', positionOf(first))).toMatchObject({ isReset: true });
  });

  it('a feed that was silent for longer than history is not reset when its follower connects again', async () => {
    const engine = await startEngine('redis');
    const link = await linkTo(engine);
    const bounds = { historyTtlMs: 1000 };
    const [follower, other] = [await node(`redis://127.0.0.1:${link.port}`, bounds), await node(engine.url, bounds)];
    await follower.subscribe('quiet', 'beside');
    await other.publish('quiet', '1');
    for (const round of [1, 2]) {
      await other.publish(neighbourOf('quiet'), 'x');
      await until(async () => (await other.read(neighbourOf('quiet'), 'earliest')).length === 0);
      await other.publish('beside', 'x');
      await until(() => follower.of('beside').length === round);
      link.cut();
      if (round === 2) await other.publish('quiet', '2');
      link.sever();
      link.mend();
      await follower.reconnects();
    }
    await until(() => follower.texts('quiet').includes('2'));
    expect(follower.texts('quiet')).toEqual(['1', '2']);
  });

  it('who publishes while a connection is made does not undo it', async () => {
    const engine = await startEngine('redis');
    await engine.kill();
    const said: string[] = [];
    const publisher = await node(engine.url, {}, said);
    const timer = setInterval(() => void publisher.publish('a', 'x').catch(() => {}), 1);
    await engine.restart();
    await until(() => publisher.isAvailable);
    clearInterval(timer);
    expect(said).toEqual([expect.stringContaining('ECONNREFUSED'), 'Redis is available again.']);
  });

  it('what is unfollowed at once is not left subscribed', async () => {
    const engine = await startEngine('redis');
    const follower = await node(engine.url);
    const following = follower.subscribe('a');
    follower.broker.unsubscribe('a');
    await following;
    await follower.subscribe('b');
    const channels = (await clientOf(engine).call('PUBSUB', 'SHARDCHANNELS')) as string[];
    // Every process has subscribed to the first one.
    expect(channels.sort()).toEqual(['{nestjs-feed}:feed:', '{nestjs-feed}:feed:b']);
  });

  it('messages that a failover has lost are told to be lost, also by a master that does not tell it is another', async () => {
    const engine = await startEngine('redis');
    const follower = await node(engine.url);
    await follower.subscribe('a');
    const redis = clientOf(engine);
    const [state, stream] = ['{nestjs-feed}:state', '{nestjs-feed}:feed:a'];
    const { offset } = await follower.publish('a', '1');
    await redis.hset(state, 'offset', offset + 60e6);
    const lost = await follower.publish('a', '2');
    // What the new master has of it.
    await redis.multi().xdel(stream, `${lost.offset}`).xsetid(stream, `${offset}`).hset(state, 'offset', offset).exec();
    await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await follower.reconnects();
    await until(() => follower.texts('a').includes('lost'));
    await until(() => follower.isAvailable);
    await follower.publish('a', '3');
    expect(follower.texts('a')).toEqual(['1', '2', 'lost', '3']);
    expect(await follower.history('a', positionOf(lost))).toMatchObject({ isReset: true });
  });

  it('what is kept grows with what is kept, not with the feeds there have ever been', async () => {
    const engine = await startEngine('redis');
    const publisher = await node(engine.url, { historyTtlMs: 1000 });
    await Promise.all(Array.from({ length: 5000 }, (_, n) => publisher.publish(`feed${n}`, 'x')));
    const redis = clientOf(engine);
    await until(async () => (await redis.dbsize()) === 1);
    expect(await redis.hlen('{nestjs-feed}:state')).toBeLessThanOrEqual(65_536 + 3);
  });

  it.each(['redis+sentinel://127.0.0.1:PORT/main', 'redis+cluster://127.0.0.1:PORT'])(
    'who is asked at %s may answer nothing',
    async (url) => {
      const mute = createServer((socket) => socket.on('error', () => {}).resume()).listen(0, '127.0.0.1');
      await once(mute, 'listening');
      const silent = await node(url.replace('PORT', `${(mute.address() as AddressInfo).port}`));
      expect(silent.broker.unavailableSince).toBeDefined();
      await silent.broker.close();
      await once(mute.close(), 'close'); // once all connections to it are closed
    },
  );

  it('connections of Sentinels go to the new master', async () => {
    const master = await startEngine('redis');
    const replica = await startEngine('redis', '--replicaof', `127.0.0.1 ${master.port}`, '--repl-diskless-sync-delay', '0');
    const sentinel = await startEngine('sentinel');
    const watch = clientOf(sentinel);
    await watch.call('SENTINEL', 'MONITOR', 'main', '127.0.0.1', `${master.port}`, '1');
    await watch.call('SENTINEL', 'SET', 'main', 'down-after-milliseconds', '300', 'failover-timeout', '3000');
    await until(async () => (await clientOf(master).info('replication')).includes('state=online'));
    await until(async () => ((await watch.call('SENTINEL', 'REPLICAS', 'main')) as unknown[]).length === 1);

    const follower = await node(`redis+sentinel://127.0.0.1:${sentinel.port}/main`);
    await follower.subscribe('a');
    await follower.broker.remember('sub:alice', Date.now() + 3_600_000);
    await follower.count('a', 1, 3);
    await until(async () => (await clientOf(replica).xlen('{nestjs-feed}:feed:a')) === 3);
    await master.kill();
    await follower.reconnects();
    expect([...(await follower.broker.remembered()).keys()]).toEqual(['sub:alice']);
    await follower.count('a', 4, 6);
    await until(() => follower.texts('a').includes('6'));
    expect(follower.texts('a')).toEqual(numbers(1, 6));
  });

  it('a cluster is found through any node, and followed through a failover', async () => {
    const nodes: Engine[] = [];
    for (let n = 0; n < 4; n += 1) {
      nodes.push(
        await startEngine('redis', '--cluster-enabled', 'yes', '--cluster-port', `${await freePort()}`, '--cluster-node-timeout', '700'),
      );
    }
    const [first, second, third, replica] = nodes as [Engine, Engine, Engine, Engine];
    const redis = new Map(nodes.map((engine) => [engine, clientOf(engine)]));
    const at = (engine: Engine) => redis.get(engine) as Redis;
    await at(first).call('CLUSTER', 'ADDSLOTSRANGE', '0', '5000');
    await at(second).call('CLUSTER', 'ADDSLOTSRANGE', '5001', '10000');
    await at(third).call('CLUSTER', 'ADDSLOTSRANGE', '10001', '16383');
    for (const engine of [second, third, replica]) {
      const busPort = (await at(engine).config('GET', 'cluster-port')) as string[];
      await at(first).call('CLUSTER', 'MEET', '127.0.0.1', `${engine.port}`, busPort[1] as string);
    }
    const knows = async (engine: Engine, pattern: RegExp) => pattern.test((await at(engine).call('CLUSTER', 'INFO')) as string);
    for (const engine of nodes) await until(() => knows(engine, /cluster_state:ok[\s\S]*cluster_known_nodes:4/));
    const slot = (await at(first).cluster('KEYSLOT', 'nestjs-feed')) as number;
    const owner = slot <= 5000 ? first : slot <= 10_000 ? second : third;
    await at(replica).call('CLUSTER', 'REPLICATE', (await at(owner).call('CLUSTER', 'MYID')) as string);
    await until(async () => (await at(owner).info('replication')).includes('state=online'));

    const others = nodes.filter((engine) => engine !== owner && engine !== replica);
    const url = `redis+cluster://${others.map(({ port }) => `127.0.0.1:${port}`)}`;
    const [one, other] = [await node(url), await node(url)];
    await Promise.all([one.subscribe('a', 'b'), other.subscribe('a', 'b')]);
    await one.count('a', 1, 3);
    await other.count('b', 1, 3);
    await until(() => one.all.length === 6 && other.all.length === 6);
    await one.broker.remember('sub:alice', Date.now() + 3_600_000);
    await replicated(owner, replica);
    await owner.kill();
    await until(() => !one.isAvailable && !other.isAvailable);
    await until(() => one.isAvailable && other.isAvailable);
    await one.count('a', 4, 6);
    await until(() => one.texts('a').includes('6') && other.texts('a').includes('6'));
    expect(one.texts('a')).toEqual(numbers(1, 6));
    expect(other.texts('a')).toEqual(numbers(1, 6));
    expect([...(await other.broker.remembered()).keys()]).toEqual(['sub:alice']);
  });
});
