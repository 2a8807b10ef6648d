import { cp, rename, rm } from 'node:fs/promises';
import type { HistoryBounds } from '../../src/feed/broker/broker.js';
import { redisBroker } from '../../src/feed/broker/redis/index.js';
import type { StoredMessage } from '../../src/feed/message/message.js';
import { missing } from '../../tools/engines.mjs';
import { type Node, numbers, positionOf } from '../support/broker-node.js';
import { linkTo, nodeOf, roomy, startEngine } from '../support/brokers.js';
import { clientOf, replicated } from '../support/redis.js';
import { until } from '../support/until.js';

/** Redis as it comes from the package: it saves a snapshot from time to time, here only on demand. */
const snapshots = ['--appendonly', 'no'];

async function node({ port }: { port: number }, bounds: Partial<HistoryBounds> = {}): Promise<Node> {
  return nodeOf(await redisBroker(`redis://127.0.0.1:${port}`)({ ...roomy, ...bounds, log: () => {} }));
}

/** Whether a position is reset. A node connects again when it learns of a loss. */
async function isReset(of: Node, feed: string, message: StoredMessage): Promise<boolean> {
  let answer: boolean | undefined;
  await until(async () => {
    answer = await of.history(feed, positionOf(message)).then(
      ({ isReset }) => isReset,
      () => undefined,
    );
    return answer !== undefined;
  });
  return answer as boolean;
}

(missing().includes('redis-server') ? describe.skip : describe)('a Redis that comes back without its last messages', () => {
  it.each(['stay', 'are started again as well'])('has every position before the loss told, while its nodes %s', async (nodes) => {
    const engine = await startEngine('redis', ...snapshots);
    const before = await node(engine);
    await before.subscribe('a', 'b');
    const m1 = await before.publish('a', '1');
    await clientOf(engine).save();
    const [m2, m3] = (await before.count('a', 2, 3)) as [StoredMessage, StoredMessage];
    if (nodes !== 'stay') await before.broker.close();
    await engine.kill();
    await engine.restart();
    const after = nodes === 'stay' ? before : await node(engine);
    await until(() => after.isAvailable);

    expect(await isReset(after, 'a', m2)).toBe(true);
    expect(await isReset(after, 'a', m3)).toBe(true);
    // What was lost was behind this one, and on any feed.
    expect(await isReset(after, 'a', m1)).toBe(true);
    expect(await isReset(after, 'b', m1)).toBe(true);
    const m4 = await after.publish('a', '4');
    expect(await after.history('a', positionOf(m2))).toMatchObject({ isReset: true, messages: [{ text: '1' }, { text: '4' }] });
    expect(await isReset(after, 'a', m4)).toBe(false);
    if (nodes === 'stay') await until(() => after.texts('a').includes('4'));
    if (nodes === 'stay') expect(after.texts('a')).toEqual(['1', '2', '3', 'lost', '4']);
  });

  it('has it told where others were published before the node that knows has come back', async () => {
    const engine = await startEngine('redis', ...snapshots);
    const link = await linkTo(engine);
    const cut = await node({ port: link.port });
    await cut.subscribe('a');
    await cut.publish('a', '1');
    await clientOf(engine).save();
    const [lost] = (await cut.count('a', 2, 3)) as [StoredMessage];
    link.cut();
    link.sever();
    await until(() => !cut.isAvailable);
    await engine.kill();
    await engine.restart();
    const early = await node(engine);
    await early.subscribe('a');
    await early.count('a', 4, 5);
    link.mend();
    await until(() => cut.texts('a').includes('5') && early.texts('a').includes('lost'));
    expect(cut.texts('a').slice(0, 4)).toEqual(['1', '2', '3', 'lost']);
    await until(() => cut.isAvailable && early.isAvailable);
    expect(await isReset(early, 'a', lost)).toBe(true);
    expect(await isReset(cut, 'a', lost)).toBe(true);
  });

  it('has it told when it was restored from a backup, though its clock is behind what it has lost', async () => {
    const engine = await startEngine('redis', ...snapshots);
    const follower = await node(engine);
    await follower.subscribe('a');
    const first = await follower.publish('a', '1');
    await clientOf(engine).save();
    await cp(engine.folder, `${engine.folder}-backup`, { recursive: true });
    await clientOf(engine).hset('{nestjs-feed}:state', 'offset', first.offset + 60e6);
    const lost = await follower.publish('a', '2');
    await clientOf(engine).save();
    await engine.kill();
    await rm(engine.folder, { recursive: true });
    await rename(`${engine.folder}-backup`, engine.folder);
    await engine.restart();
    await until(() => follower.texts('a').includes('lost'));
    await until(() => follower.isAvailable);
    await follower.publish('a', '3');
    expect(follower.texts('a')).toEqual(['1', '2', 'lost', '3']);
    expect(await isReset(follower, 'a', lost)).toBe(true);
  });

  it('has it told when a replica was behind that became the master, and the old one went on', async () => {
    const master = await startEngine('redis');
    const replica = await startEngine('redis', '--replicaof', `127.0.0.1 ${master.port}`, '--repl-diskless-sync-delay', '0');
    const link = await linkTo(master);
    await until(async () => (await clientOf(master).info('replication')).includes('state=online'));
    const follower = await node({ port: link.port });
    await follower.subscribe('a');
    const [, kept] = (await follower.count('a', 1, 2)) as [StoredMessage, StoredMessage];
    await replicated(master, replica);
    await clientOf(replica).replicaof('NO', 'ONE');
    // Both acknowledge now.
    const [lost] = (await follower.count('a', 3, 4)) as [StoredMessage];
    const other = await node(replica);
    await other.subscribe('a');
    await other.publish('a', '5');
    expect(await isReset(other, 'a', kept)).toBe(false);
    link.cut();
    link.lead(replica.port);
    link.sever();
    link.mend();
    await until(() => follower.texts('a').includes('5') && other.texts('a').includes('lost'));
    expect(follower.texts('a').slice(0, 5)).toEqual(['1', '2', '3', '4', 'lost']);
    await until(() => other.isAvailable);
    expect(await isReset(other, 'a', lost)).toBe(true);
    expect(await isReset(other, 'a', kept)).toBe(true);
  });

  it('has it told again where a process was longer on the side that lost, and more was acknowledged there', async () => {
    const master = await startEngine('redis');
    const replica = await startEngine('redis', '--replicaof', `127.0.0.1 ${master.port}`, '--repl-diskless-sync-delay', '0');
    await until(async () => (await clientOf(master).info('replication')).includes('state=online'));
    const links = [await linkTo(master), await linkTo(master)] as const;
    const [first, second] = [await node(links[0]), await node(links[1])];
    await second.publish('a', '1');
    await replicated(master, replica);
    await clientOf(replica).replicaof('NO', 'ONE');
    const other = await node(replica);
    await other.subscribe('a');
    const move = (link: (typeof links)[number]) => {
      link.lead(replica.port);
      link.sever();
    };

    await first.publish('b', 'lost');
    move(links[0]);
    await until(() => other.texts('a').includes('lost') && other.isAvailable);
    const between = await other.publish('a', '2');
    expect(await isReset(other, 'a', between)).toBe(false);
    await second.publish('a', 'lost as well');
    move(links[1]);
    await until(() => other.texts('a').length === 3 && other.isAvailable && second.isAvailable);
    expect(other.texts('a')).toEqual(['lost', '2', 'lost']);
    expect(await isReset(other, 'a', between)).toBe(true);
    await until(() => first.isAvailable);
    const after = await first.publish('a', '3');
    expect(await isReset(other, 'a', after)).toBe(false);
  });

  it('tells nobody where it has lost nothing', async () => {
    const engine = await startEngine('redis');
    const [one, other] = [await node(engine), await node(engine)];
    await one.subscribe('a');
    const [first] = (await other.count('a', 1, 2)) as [StoredMessage];
    for (const round of [1, 2, 3]) {
      await engine.kill();
      await engine.restart();
      await until(() => one.isAvailable && other.isAvailable);
      await other.publish('a', `${2 + round}`);
      await until(() => one.of('a').length === 2 + round);
    }
    expect(one.texts('a')).toEqual(numbers(1, 5));
    expect(await (await node(engine)).history('a', positionOf(first))).toMatchObject({ isReset: false });
    expect(await other.read('a', positionOf(first))).toEqual(numbers(2, 5));
  });
});
