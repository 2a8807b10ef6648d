import fc from 'fast-check';
import { BrokerUnavailableError, type HistoryBounds, messageOverhead } from '../../src/feed/broker/broker.js';
import type { PublishedMessage } from '../../src/feed/message/message.js';
import { nowhere } from '../../src/feed/message/position.js';
import type { Engine } from '../../tools/engines.mjs';
import { Link } from '../../tools/link.mjs';
import { Node } from '../support/broker-node.js';
import { type BrokerKind, describeBrokers, describeSharedBrokers, engineOf, roomy } from '../support/brokers.js';
import { until } from '../support/serve.js';

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const positionOf = ({ epoch, offset }: PublishedMessage) => ({ epoch, offset });
const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => `${from + n}`);

/** Publishes the numbers as messages, one after the other. */
async function count(node: Node, feed: string, from: number, to: number): Promise<PublishedMessage[]> {
  const messages: PublishedMessage[] = [];
  for (const text of numbers(from, to)) messages.push(await node.publish(feed, text));
  return messages;
}

/** An engine, and nodes on it, which end with the test. */
class Ground {
  private readonly nodes: Node[] = [];
  private readonly links: Link[] = [];

  constructor(
    private readonly kind: BrokerKind,
    readonly engine: Engine | undefined,
  ) {}

  async node(bounds: Partial<HistoryBounds> = {}, port = this.engine?.port ?? 0): Promise<Node> {
    const node = new Node(await this.kind.make(port, { ...roomy, ...bounds }));
    this.nodes.push(node);
    return node;
  }

  /** A node on a path of its own to the engine. */
  async linked(bounds: Partial<HistoryBounds> = {}): Promise<{ node: Node; link: Link }> {
    const link = await Link.to(this.engine?.port ?? 0);
    this.links.push(link);
    return { node: await this.node(bounds, link.port), link };
  }

  async end(): Promise<void> {
    for (const link of this.links) link.mend();
    await Promise.all(this.nodes.map(({ broker }) => broker.close()));
    await Promise.all(this.links.map((link) => link.close()));
    await this.engine?.stop();
  }
}

let ground: Ground;
const prepare = (kind: BrokerKind) => async () => {
  ground = new Ground(kind, await engineOf(kind));
};
afterEach(() => ground.end());

describeBrokers('a feed on the broker', (kind) => {
  beforeEach(prepare(kind));

  it('gives back what went in', async () => {
    const node = await ground.node();
    await node.follow('a/b.c', 'a/b~c:@-_', '$odd');
    const contents = [
      { type: undefined, text: 'plain', isJson: false },
      { type: 'a type: with – signs', text: '{"a":[1,"\\n"]}', isJson: true },
      { type: 'x', text: '', isJson: false },
      { type: undefined, text: 'many\n\nlines\n', isJson: false },
      { type: undefined, text: '😀 ½ \u0000 \u2028', isJson: false },
      { type: undefined, text: 'long '.repeat(40_000), isJson: false },
    ];
    for (const feed of ['a/b.c', 'a/b~c:@-_', '$odd']) {
      const before = Date.now();
      const published: PublishedMessage[] = [];
      for (const content of contents) published.push(await node.broker.publish(feed, content));
      await until(() => node.of(feed).length === contents.length);
      const { messages } = await node.broker.read(feed, 'earliest');
      for (const [n, content] of contents.entries()) {
        for (const message of [published[n], node.of(feed)[n], messages[n]] as PublishedMessage[]) {
          expect(message).toMatchObject({ ...content, feed });
          expect(message.id).toBe(published[n]?.id);
          // Another machine's clock may be meant: within a second it is this one's here.
          expect(Math.abs(message.time - before)).toBeLessThan(10_000);
        }
      }
    }
  });

  it('numbers messages in the order in which it delivers them, over all feeds', async () => {
    const node = await ground.node();
    const feeds = ['a', 'b', 'c'];
    await node.follow(...feeds);
    const published = await Promise.all(Array.from({ length: 300 }, (_, n) => node.publish(feeds[n % 3] as string, `${n}`)));
    await until(() => node.all.length === 300);
    const offsets = node.all.map(({ offset }) => offset);
    expect(offsets).toEqual([...new Set(offsets)].sort((a, b) => a - b));
    expect(new Set(node.all.map(({ id }) => id))).toEqual(new Set(published.map(({ id }) => id)));
  });

  it('delivers what is published after follow(), once, and nothing after unfollow()', async () => {
    const node = await ground.node();
    await count(node, 'a', 1, 3);
    await node.follow('a');
    await count(node, 'a', 4, 6);
    await until(() => node.of('a').length === 3);
    node.broker.unfollow('a');
    await count(node, 'a', 7, 9);
    await node.follow('a', 'other');
    await count(node, 'a', 10, 12);
    await until(() => node.of('a').length === 6);
    expect(node.texts('a')).toEqual(['4', '5', '6', '10', '11', '12']);
    expect(node.texts('other')).toEqual([]);
  });

  it('reads from a position, from the earliest, the newest and the end', async () => {
    const node = await ground.node();
    await node.follow('a'); // what is read of a feed that is followed has been delivered
    const [, second] = (await count(node, 'a', 1, 3)) as [PublishedMessage, PublishedMessage, PublishedMessage];
    expect(await node.read('a', positionOf(second))).toEqual(['3']);
    expect(node.texts('a')).toEqual(['1', '2', '3']);
    expect(await node.read('a', 'earliest')).toEqual(['1', '2', '3']);
    expect(await node.read('a', 'newest')).toEqual(['3']);
    expect(await node.read('a', 'end')).toEqual([]);
    expect(await node.read('silent', 'earliest')).toEqual([]);
    expect(await node.read('silent', 'newest')).toEqual([]);
    for (const start of ['end', 'newest', 'earliest', positionOf(second)] as const) {
      for (const feed of ['a', 'silent']) {
        const { isReset, after, messages } = await node.broker.read(feed, start);
        expect(isReset).toBe(false);
        // What was read from can be read from again.
        expect(await node.broker.read(feed, after)).toMatchObject({ isReset: false, messages: messages.map(({ id }) => ({ id })) });
      }
    }
  });

  it('tells that a position is gone: another epoch, never given, or trimmed by length or by bytes', async () => {
    const node = await ground.node({ historyLength: 4, historyBytes: 3 * messageOverhead + 3000 });
    const [first, second] = await count(node, 'a', 1, 5);
    const position = positionOf(first as PublishedMessage);
    for (const gone of [nowhere, { ...position, epoch: 'another' }, { ...position, offset: 10 ** 15 * 8 }]) {
      const { isReset, messages } = await node.broker.read('a', gone);
      expect(isReset).toBe(true);
      expect(messages.map(({ text }) => text)).toEqual(['2', '3', '4', '5']);
    }
    expect(await node.broker.read('a', position)).toMatchObject({ isReset: false });
    await node.publish('a', '6');
    const trimmed = await node.broker.read('a', position);
    expect(trimmed).toMatchObject({ isReset: true });
    expect(trimmed.messages.map(({ text }) => text)).toEqual(['3', '4', '5', '6']);
    expect(await node.broker.read('a', positionOf(second as PublishedMessage))).toMatchObject({ isReset: false });
    // What happens on other feeds is no reason.
    await count(node, 'b', 1, 20);
    expect(await node.broker.read('a', positionOf(second as PublishedMessage))).toMatchObject({ isReset: false });
    const big = ['x'.repeat(1400), 'y'.repeat(1400), 'z'.repeat(1400)];
    for (const text of big) await node.publish('a', text);
    expect(await node.read('a', 'earliest')).toEqual(big.slice(1));
  });

  it('forgets what is too old, and tells so whoever missed it and nobody else', async () => {
    const node = await ground.node({ historyTtlMs: 1200 });
    const [first, second] = await count(node, 'a', 1, 2);
    const { after: end } = await node.broker.read('a', 'end');
    await until(async () => (await node.read('a', 'earliest')).length === 0);
    expect(await node.broker.read('a', positionOf(first as PublishedMessage))).toMatchObject({ isReset: true, messages: [] });
    expect(await node.broker.read('a', positionOf(second as PublishedMessage))).toMatchObject({ isReset: false, messages: [] });
    expect(await node.broker.read('a', end)).toMatchObject({ isReset: false, messages: [] });
    await node.publish('a', '3');
    expect(await node.broker.read('a', positionOf(first as PublishedMessage))).toMatchObject({ isReset: true });
    expect(await node.broker.read('a', positionOf(second as PublishedMessage))).toMatchObject({ isReset: false });
  });

  it('keeps nothing with a length of 0, and delivers all the same', async () => {
    const node = await ground.node({ historyLength: 0 });
    await node.follow('a');
    const [first] = await count(node, 'a', 1, 3);
    await until(() => node.of('a').length === 3);
    expect(node.texts('a')).toEqual(['1', '2', '3']);
    expect(await node.broker.read('a', positionOf(first as PublishedMessage))).toMatchObject({ isReset: true, messages: [] });
  });

  it('has no gap and no duplicate between what is read and what is delivered, whoever comes and goes', async () => {
    const step = fc.record({
      feed: fc.integer({ min: 0, max: 2 }),
      action: fc.constantFrom('publish', 'publish', 'publish', 'leave', 'return'),
    });
    const nodes = [await ground.node(), kind.name === 'memory' ? undefined : await ground.node()].filter((node) => node !== undefined);
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        run += 1;
        const feeds = [0, 1, 2].map((n) => `run${run}/${n}`);
        const sent = feeds.map(() => [] as string[]);
        const publishes: Promise<unknown>[] = [];
        // A follower of each feed on each node, which leaves and returns to where it was.
        const followers = nodes.flatMap(({ broker }) =>
          feeds.map((feed) => {
            const got: PublishedMessage[] = [];
            let position = nowhere;
            let held: PublishedMessage[] | undefined;
            let done: Promise<void> = Promise.resolve();
            const take = (message: PublishedMessage) => {
              got.push(message);
              position = positionOf(message);
            };
            const come = async (first: boolean) => {
              held = [];
              const sink = { next: (message: PublishedMessage) => (held ? held.push(message) : take(message)), lost: () => {} };
              await broker.follow(feed, sink);
              const { messages, after, isReset } = await broker.read(feed, first ? 'end' : position);
              expect(isReset).toBe(false);
              if (first) position = after;
              for (const message of messages) take(message);
              const covered = messages.at(-1)?.offset ?? after.offset;
              for (const message of held) if (message.offset > covered) take(message);
              held = undefined;
            };
            return {
              got,
              leave: () => {
                done = done.then(() => broker.unfollow(feed));
                return done;
              },
              come: (first = false) => {
                done = done.then(() => come(first));
                return done;
              },
            };
          }),
        );
        await Promise.all(followers.map(({ come }) => come(true)));
        let number = 0;
        for (const { feed, action } of steps) {
          if (action === 'publish') {
            number += 1;
            sent[feed]?.push(`${number}`);
            publishes.push((nodes[number % nodes.length] as Node).publish(feeds[feed] as string, `${number}`));
          } else
            for (const [n, follower] of followers.entries()) if (n % 3 === feed) (action === 'leave' ? follower.leave : follower.come)();
          if (number % 7 === 0) await sleep(0);
        }
        await Promise.all(publishes);
        await Promise.all(followers.map(({ leave, come }) => leave().then(() => come())));
        for (const [n, { got }] of followers.entries()) {
          const expected = new Set(sent[n % 3]);
          await until(() => got.length >= expected.size);
          expect(new Set(got.map(({ text }) => text))).toEqual(expected);
          const offsets = got.map(({ offset }) => offset);
          expect(offsets).toEqual([...new Set(offsets)].sort((a, b) => a - b));
        }
      }),
      { numRuns: 100 },
    );
  });

  it('lets go of everything when it is closed, and publishes no more', async () => {
    const node = await ground.node();
    await node.follow('a');
    await node.publish('a', '1');
    const sockets = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
    const before = sockets();
    await node.broker.close();
    await node.broker.close();
    if (kind.name === 'memory') return;
    await until(() => sockets() < before);
    await expect(node.publish('a', '2')).rejects.toThrow(BrokerUnavailableError);
    await expect(node.broker.read('a', 'earliest')).rejects.toThrow(BrokerUnavailableError);
  });
});

describeSharedBrokers('several nodes on', (kind) => {
  const engine = () => ground.engine as Engine;

  beforeEach(prepare(kind));

  it('see the same ids in the same order, whoever publishes', async () => {
    const nodes = await Promise.all([ground.node(), ground.node(), ground.node()]);
    const feeds = ['a', 'b/c', 'd'];
    await Promise.all(nodes.map((node) => node.follow(...feeds)));
    const publishes = Array.from({ length: 600 }, (_, n) => (nodes[n % 3] as Node).publish(feeds[(n % 7) % 3] as string, `${n}`));
    const ids = new Set((await Promise.all(publishes)).map(({ id }) => id));
    for (const node of nodes) {
      await until(() => node.all.length === 600);
      expect(new Set(node.all.map(({ id }) => id))).toEqual(ids);
      expect(node.all.map(({ id }) => id)).toEqual(nodes[0]?.all.map(({ id }) => id));
      const offsets = node.all.map(({ offset }) => offset);
      expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
    }
  });

  it('deliver each message to who follows, also where history keeps hardly any', async () => {
    const [one, other] = [await ground.node({ historyLength: 1 }), await ground.node({ historyLength: 1 })];
    await other.follow('a');
    for (let n = 0; n < 100; n += 1) await Promise.all([one.publish('a', 'x'), one.publish('a', 'x'), one.publish('a', 'x')]);
    await until(() => other.of('a').length === 300);
    expect(other.of('a')).not.toContain('lost');
    expect((await other.broker.read('a', 'earliest')).messages).toHaveLength(1);
  });

  it('deliver all of a burst to who follows, though it is many times what history keeps', async () => {
    const [one, other] = [await ground.node({ historyLength: 100 }), await ground.node({ historyLength: 100 })];
    await other.follow('a');
    const messages = await Promise.all(numbers(1, 2000).map((text) => one.publish('a', text)));
    await until(() => other.of('a').length === 2000);
    expect(other.all.map(({ id }) => id)).toEqual(messages.sort((a, b) => a.offset - b.offset).map(({ id }) => id));
  });

  it('have what was published as soon as publish() has resolved, and resume where another left off', async () => {
    const [one, other] = [await ground.node(), await ground.node()];
    const messages = await count(one, 'a', 1, 9);
    expect(await other.read('a', positionOf(messages[4] as PublishedMessage))).toEqual(numbers(6, 9));
    for (let n = 10; n < 60; n += 1) {
      const position = positionOf(await one.publish('a', `${n}`));
      expect(await other.broker.read('a', position)).toMatchObject({ isReset: false, messages: [] });
      expect(await other.read('a', 'newest')).toEqual([`${n}`]);
    }
    // Also one that has only just been started.
    expect(await (await ground.node()).read('a', positionOf(messages[7] as PublishedMessage))).toEqual(numbers(9, 59));
  });

  it('fail to publish while the engine is away, tell so, and go on when it is back, with nothing lost', async () => {
    const [one, other] = [await ground.node(), await ground.node()];
    await Promise.all([one.follow('a'), other.follow('a')]);
    const [first] = await count(one, 'a', 1, 3);
    await engine().kill();
    await expect(one.publish('a', 'lost')).rejects.toThrow(BrokerUnavailableError);
    await until(() => one.broker.unavailableSince !== undefined && other.broker.unavailableSince !== undefined);
    expect(Math.abs((one.broker.unavailableSince as number) - Date.now())).toBeLessThan(10_000);
    await engine().restart();
    await until(() => one.broker.unavailableSince === undefined && other.broker.unavailableSince === undefined);
    await count(other, 'a', 4, 6);
    for (const node of [one, other]) {
      await until(() => node.of('a').length === 6);
      expect(node.texts('a')).toEqual(numbers(1, 6));
      expect(await node.read('a', positionOf(first as PublishedMessage))).toEqual(numbers(2, 6));
    }
  });

  it('fetch what they missed while they were cut off, in the order of all', async () => {
    const { node, link } = await ground.linked();
    const other = await ground.node();
    const feeds = ['a', 'b', 'c'];
    await node.follow(...feeds);
    await count(other, 'a', 1, 3);
    await until(() => node.of('a').length === 3);
    for (const round of [0, 1, 2]) {
      link.cut();
      for (let n = 0; n < 60; n += 1) await other.publish(feeds[n % 3] as string, `${round} ${n}`);
      link.sever();
      link.mend();
      await count(other, 'b', 1, 3);
    }
    await until(() => node.all.length === 3 + 3 * 63);
    const offsets = node.all.map(({ offset }) => offset);
    expect(offsets).toEqual([...new Set(offsets)].sort((a, b) => a - b));
  });

  it('deliver what they missed in the order of all, while others go on publishing', async () => {
    const { node, link } = await ground.linked();
    const other = await ground.node();
    const feeds = Array.from({ length: 100 }, (_, n) => `${n}`);
    await node.follow(...feeds);
    let published = 0;
    let isOver = false;
    const publishers = Array.from({ length: 8 }, async () => {
      while (!isOver) {
        published += 1;
        await other.publish(feeds[(published * 37) % feeds.length] as string, 'x');
      }
    });
    for (let round = 0; round < 10; round += 1) {
      link.sever();
      await until(() => node.broker.unavailableSince !== undefined);
      await until(() => node.broker.unavailableSince === undefined);
    }
    isOver = true;
    await Promise.all(publishers);
    await until(() => node.all.length === published);
    const offsets = node.all.map(({ offset }) => offset);
    expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
  });

  it('go on after the engine has stood still', async () => {
    const [one, other] = [await ground.node(), await ground.node()];
    await other.follow('a');
    await count(one, 'a', 1, 3);
    engine().pause();
    const inBetween = one.publish('a', '4').catch((error) => expect(error).toBeInstanceOf(BrokerUnavailableError));
    await sleep(1500);
    engine().resume();
    await inBetween;
    await until(() => one.broker.unavailableSince === undefined);
    await one.publish('a', '5');
    await until(() => other.texts('a').includes('5'));
    expect(other.texts('a').filter((text) => text !== '4')).toEqual(['1', '2', '3', '5']);
    expect(new Set(other.texts('a')).size).toBe(other.of('a').length);
  });

  it('notice an engine that answers nothing, and come back', async () => {
    const { node, link } = await ground.linked();
    const other = await ground.node();
    await node.follow('a');
    link.cut();
    await expect(node.publish('a', 'perhaps')).rejects.toThrow(BrokerUnavailableError);
    await until(() => node.broker.unavailableSince !== undefined);
    await count(other, 'a', 1, 3);
    link.mend();
    await until(() => node.broker.unavailableSince === undefined);
    await until(() => node.texts('a').includes('3'));
    expect(node.texts('a').filter((text) => text !== 'perhaps')).toEqual(numbers(1, 3));
  });

  it('follow a feed that was asked for while the engine was away', async () => {
    const node = await ground.node();
    const { after } = await node.broker.read('a', 'end');
    await engine().kill();
    await until(() => node.broker.unavailableSince !== undefined);
    await node.follow('a').catch((error) => expect(error).toBeInstanceOf(BrokerUnavailableError));
    await engine().restart();
    await until(() => node.broker.unavailableSince === undefined);
    const other = await ground.node();
    await count(other, 'a', 1, 3);
    await until(() => node.of('a').length === 3);
    expect(node.texts('a')).toEqual(numbers(1, 3));
    expect(await node.read('a', after)).toEqual(numbers(1, 3));
  });

  it('tell followers what is lost when more was published meanwhile than history keeps', async () => {
    const { node, link } = await ground.linked({ historyLength: 2100, historyBytes: 1e7 });
    const other = await ground.node({ historyLength: 2100, historyBytes: 1e7 });
    await node.follow('busy', 'calm');
    await count(other, 'busy', 1, 3);
    await count(other, 'calm', 1, 3);
    await until(() => node.all.length === 6);
    link.cut();
    await count(other, 'busy', 4, 2500);
    await count(other, 'calm', 4, 8);
    link.sever();
    link.mend();
    await until(() => node.texts('busy').includes('2500') && node.texts('calm').includes('8'));
    expect(node.texts('busy')).toEqual([...numbers(1, 3), 'lost', ...numbers(401, 2500)]);
    expect(node.texts('calm')).toEqual(numbers(1, 8));
  });

  it('tell followers when the engine has lost all that it knew', async () => {
    const node = await ground.node();
    await node.follow('a', 'b');
    const [first] = await count(node, 'a', 1, 3);
    await until(() => node.of('a').length === 3);
    await engine().kill();
    await engine().wipe();
    await engine().restart();
    await until(() => node.broker.unavailableSince === undefined);
    await count(node, 'a', 4, 5);
    await until(() => node.texts('a').includes('5'));
    expect(node.texts('a')).toEqual(['1', '2', '3', 'lost', '4', '5']);
    expect(node.texts('b')).toEqual(['lost']);
    const { isReset, messages } = await node.broker.read('a', positionOf(first as PublishedMessage));
    expect(isReset).toBe(true);
    expect(messages.map(({ text }) => text)).toEqual(['4', '5']);
  });

  it('start without the engine, and work when it has come', async () => {
    await engine().kill();
    const node = await ground.node();
    expect(node.broker.unavailableSince).toBeDefined();
    await expect(node.publish('a', '1')).rejects.toThrow(BrokerUnavailableError);
    await expect(node.broker.read('a', 'earliest')).rejects.toThrow(BrokerUnavailableError);
    await engine().restart();
    await until(() => node.broker.unavailableSince === undefined);
    await node.follow('a');
    await count(node, 'a', 2, 3);
    await until(() => node.of('a').length === 2);
    expect(node.texts('a')).toEqual(['2', '3']);
  });

  it('start with an engine that stands still, and are closed without waiting for it', async () => {
    engine().pause();
    const node = await ground.node();
    expect(node.broker.unavailableSince).toBeDefined();
    await expect(node.publish('a', '1')).rejects.toThrow(BrokerUnavailableError);
    const begun = performance.now();
    await node.broker.close();
    expect(performance.now() - begun).toBeLessThan(2000);
  });
});
