import { connect } from '@nats-io/transport-node';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { Engine, type EngineKind } from '../../../tools/engines.mjs';

/** What another program does to an engine. */
export interface Forgery {
  feed: string;
  /** Whether it is stored, or only announced. */
  isStored: boolean;
  bytes: Buffer;
  /** The id of a stored entry, where the writer chooses it. */
  id: string;
  field: string;
}

const feed = fc.constantFrom('a', 'a', '$nodes', 'x', 'a/b');
const number = fc.oneof(fc.nat(), fc.constantFrom('0', '-1', '9999999999999999', '99999999999999999999', '1e3', '', ' '));
const count = fc.oneof(fc.nat(), fc.constantFrom(-1, 1e308, null, '1', {}, Number.MAX_SAFE_INTEGER));
const node = fc.record(
  {
    name: fc.oneof(fc.string({ unit: 'binary' }), count),
    open: count,
    bytes: count,
    limit: count,
    closed: fc.oneof(fc.dictionary(fc.constantFrom('client', 'left', '__proto__'), count), count),
    rejectedBy: count,
  },
  { requiredKeys: [] },
);
const announcement = fc.record(
  { id: fc.oneof(fc.uuid(), fc.string(), count), node: fc.oneof(node, count), __proto__: count },
  { requiredKeys: [] },
);
const text = fc.oneof(
  { weight: 3, arbitrary: announcement.map((value) => JSON.stringify(value)) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 30 }) },
  { weight: 2, arbitrary: fc.json() },
  { weight: 1, arbitrary: fc.constantFrom('', '{', '1}\n{"data":2', '\r\n\r\n', 'a\rb', '"\n"', '[1,]') },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 100_000 }).map((length) => '['.repeat(length)) },
);
const type = fc.oneof(fc.constantFrom('', 'type', 'reset', 'a\rb', 'a\0b', 'x'.repeat(300)), fc.string({ unit: 'binary', maxLength: 5 }));
const junk = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.string({ maxLength: 30 })).map((value) => Buffer.from(value as string));

/** As nodes announce and store messages on Redis, with parts of it wrong. */
const onRedis = fc
  .tuple(
    fc.oneof(fc.constantFrom('EPOCH', 'EPOCH', 'EPOCH', 'abc', ''), fc.string({ maxLength: 3 })),
    fc.oneof(fc.constant('NEXT'), number),
    fc.oneof(fc.constantFrom('0', 'LAST'), number),
    fc.constantFrom('0', '1', '1', '2', ''),
    number,
    fc.constantFrom('j', 't', 'j', 't', 'x', ''),
    type,
    text,
    fc.nat(9),
  )
  .map(([epoch, offset, previous, exact, total, kind, ofType, ofText, break_]) => {
    const whole = `${epoch} ${offset} ${previous} ${exact} ${total} ${kind}\n${ofType}\n${ofText}`;
    return Buffer.from(break_ === 0 ? whole.replace('\n', ' ') : whole);
  });

/** As nodes publish them to NATS. */
const onNats = fc
  .tuple(fc.constantFrom(0x10, 0x11, 0x12, 0x13, 0x10, 0x13, 0x14, 0x20, 0xff), fc.option(fc.nat(70_000)), type, text)
  .map(([flags, length, ofType, ofText]) => {
    const types = Buffer.from(ofType);
    const size = Buffer.alloc(2);
    size.writeUInt16BE((length ?? types.length) & 0xffff);
    return Buffer.concat([Buffer.of(flags), ...(flags & 2 ? [size, types] : []), Buffer.from(ofText)]);
  });

export const forgeries = (kind: EngineKind): fc.Arbitrary<Forgery> =>
  fc.record({
    feed,
    isStored: fc.boolean(),
    bytes: fc.oneof({ weight: 4, arbitrary: kind === 'redis' ? onRedis : onNats }, { weight: 1, arbitrary: junk }),
    id: fc.constantFrom('*', '*', '1-1', 'FUTURE'),
    field: fc.constantFrom('m', 'm', 'm', 'x', ''),
  });

/** A program beside the nodes that may write to their engine. */
export interface Attacker {
  url: string;
  write(forgery: Forgery): Promise<void>;
  stop(): Promise<void>;
}

const prefix = 'fuzz';

export async function attackerOf(kind: EngineKind): Promise<Attacker> {
  const engine = await Engine.start(kind);
  const url = `${engine.url}?prefix=${prefix}`;
  if (kind === 'redis') {
    const redis = new Redis({ port: engine.port, host: '127.0.0.1' });
    const write = async ({ feed: name, isStored, bytes, id, field }: Forgery) => {
      const [epoch, last] = await redis.hmget(`{${prefix}}:state`, 'epoch', 'offset');
      const next = `${Number(last) + 1}`;
      const filled = Buffer.from(
        bytes.toString('latin1').replace('EPOCH', `${epoch}`).replace('NEXT', next).replace('LAST', `${last}`),
        'latin1',
      );
      const key = `{${prefix}}:feed:${name}`;
      if (!isStored) await redis.spublish(key, filled);
      else await redis.xadd(key, id === 'FUTURE' ? `${Number(last) + 1e9}-0` : id, field, filled).catch(() => {}); // older than the last
    };
    return {
      url,
      write,
      stop: async () => {
        redis.disconnect();
        await engine.stop();
      },
    };
  }
  const connection = await connect({ servers: `127.0.0.1:${engine.port}` });
  const write = async ({ feed: name, bytes }: Forgery) => {
    connection.publish(`${prefix}.${name.replaceAll('/', '.')}`, bytes);
    await connection.flush();
  };
  return {
    url,
    write,
    stop: async () => {
      await connection.close();
      await engine.stop();
    },
  };
}
