import fc from 'fast-check';
import type { History } from '../../src/feed/broker/broker.js';
import { type HistoryBounds, messageOverhead } from '../../src/feed/broker/history-bounds.js';
import { BrokerUnavailableError } from '../../src/feed/errors/broker.errors.js';
import type { StoredMessage } from '../../src/feed/message/message.js';
import { nowhere } from '../../src/feed/message/position.js';
import type { Engine } from '../../tools/engines.mjs';
import type { Link } from '../../tools/link.mjs';
import { type Node, numbers, positionOf } from '../support/broker-node.js';
import { type BrokerKind, describeBrokers, describeSharedBrokers, engineOf, linkTo, nodeOf, roomy } from '../support/brokers.js';
import { until } from '../support/until.js';

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** An engine, and nodes on it. */
class Ground {
  constructor(
    private readonly kind: BrokerKind,
    readonly engine: Engine | undefined,
  ) {}

  async node(bounds: Partial<HistoryBounds> = {}, port = this.engine?.port ?? 0): Promise<Node> {
    return nodeOf(await this.kind.make(port, { ...roomy, ...bounds }));
  }

  /** A node on a path of its own to the engine. */
  async linked(bounds: Partial<HistoryBounds> = {}): Promise<{ node: Node; link: Link }> {
    const link = await linkTo(this.engine as Engine);
    return { node: await this.node(bounds, link.port), link };
  }
}

let ground: Ground;
const prepare = (kind: BrokerKind) => async () => {
  ground = new Ground(kind, await engineOf(kind));
};

describeBrokers('the broker contract:', (kind) => {
  beforeEach(prepare(kind));

  it('a message comes back as it was published, from publish(), from a subscription and from history', async () => {
    const node = await ground.node();
    await node.subscribe('a/b.c', 'a/b~c:@-_', '$odd');
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
      const published: StoredMessage[] = [];
      for (const content of contents) published.push(await node.broker.publish(feed, content));
      await until(() => node.of(feed).length === contents.length);
      const { messages } = await node.history(feed, 'earliest');
      for (const [n, content] of contents.entries()) {
        for (const message of [published[n], node.of(feed)[n], messages[n]] as StoredMessage[]) {
          expect(message).toMatchObject({ ...content, feed });
          expect(message.id).toBe(published[n]?.id);
          // The clock of the server counts; here it is the same machine's, in whole milliseconds or less.
          expect(message.time).toBeGreaterThanOrEqual(before - 1);
        }
      }
    }
  });

  it('all nodes get the same ids in the order of the offsets, over all feeds, whichever node publishes', async () => {
    const nodes = await Promise.all((kind.name === 'memory' ? [1] : [1, 2, 3]).map(() => ground.node()));
    const feeds = ['a', 'b/c', 'd'];
    await Promise.all(nodes.map((node) => node.subscribe(...feeds)));
    const publishes = Array.from({ length: 600 }, (_, n) =>
      (nodes[n % nodes.length] as Node).publish(feeds[(n % 7) % 3] as string, `${n}`),
    );
    const ids = new Set((await Promise.all(publishes)).map(({ id }) => id));
    for (const node of nodes) {
      await until(() => node.all.length === 600);
      expect(new Set(node.all.map(({ id }) => id))).toEqual(ids);
      expect(node.isInOrder).toBe(true);
    }
  });

  it('a subscription delivers each message once, from subscribing until unsubscribing', async () => {
    const node = await ground.node();
    await node.count('a', 1, 3);
    await node.subscribe('a');
    await node.count('a', 4, 6);
    await until(() => node.of('a').length === 3);
    node.broker.unsubscribe('a');
    await node.count('a', 7, 9);
    await node.subscribe('a', 'other');
    await node.count('a', 10, 12);
    await until(() => node.of('a').length === 6);
    expect(node.texts('a')).toEqual(['4', '5', '6', '10', '11', '12']);
    expect(node.texts('other')).toEqual([]);
  });

  it('history is read from a position, from the earliest message, from the newest, and from the end', async () => {
    const node = await ground.node();
    await node.subscribe('a'); // what is read of a subscribed feed has been delivered
    const [, second] = (await node.count('a', 1, 3)) as [StoredMessage, StoredMessage, StoredMessage];
    expect(await node.read('a', positionOf(second))).toEqual(['3']);
    expect(node.texts('a')).toEqual(['1', '2', '3']);
    expect(await node.read('a', 'earliest')).toEqual(['1', '2', '3']);
    expect(await node.read('a', 'newest')).toEqual(['3']);
    expect(await node.read('a', 'end')).toEqual([]);
    expect(await node.read('silent', 'earliest')).toEqual([]);
    expect(await node.read('silent', 'newest')).toEqual([]);
    for (const start of ['end', 'newest', 'earliest', positionOf(second)] as const) {
      for (const feed of ['a', 'silent']) {
        const { isReset, after, messages } = await node.history(feed, start);
        expect(isReset).toBe(false);
        // A reader can resume from there.
        expect(await node.history(feed, after)).toMatchObject({ isReset: false, messages: messages.map(({ id }) => ({ id })) });
      }
    }
  });

  it('a read reports a reset where its position is unknown or has been trimmed by length or bytes', async () => {
    const node = await ground.node({ historyLength: 4, historyBytes: 3 * messageOverhead + 3000 });
    const [first, second] = await node.count('a', 1, 5);
    const position = positionOf(first as StoredMessage);
    for (const gone of [nowhere, { ...position, epoch: 'another' }, { ...position, offset: 10 ** 15 * 8 }]) {
      const { isReset, messages } = await node.history('a', gone);
      expect(isReset).toBe(true);
      expect(messages.map(({ text }) => text)).toEqual(['2', '3', '4', '5']);
    }
    expect(await node.history('a', position)).toMatchObject({ isReset: false });
    await node.publish('a', '6');
    const trimmed = await node.history('a', position);
    expect(trimmed).toMatchObject({ isReset: true });
    expect(trimmed.messages.map(({ text }) => text)).toEqual(['3', '4', '5', '6']);
    expect(await node.history('a', positionOf(second as StoredMessage))).toMatchObject({ isReset: false });
    // Messages of other feeds do not count.
    await node.count('b', 1, 20);
    expect(await node.history('a', positionOf(second as StoredMessage))).toMatchObject({ isReset: false });
    const big = ['x'.repeat(1400), 'y'.repeat(1400), 'z'.repeat(1400)];
    for (const text of big) await node.publish('a', text);
    expect(await node.read('a', 'earliest')).toEqual(big.slice(1));
  });

  it('a read from the earliest message tells whether there were earlier ones', async () => {
    const node = await ground.node({ historyLength: 2, historyTtlMs: 1200 });
    const isCut = async (feed: string) => (await node.history(feed, 'earliest')).isReset;
    await node.count('a', 1, 2);
    await node.publish('b', '1');
    expect([await isCut('a'), await isCut('b'), await isCut('c')]).toEqual([false, false, false]);
    await node.publish('a', '3');
    expect([await isCut('a'), await isCut('b')]).toEqual([true, false]);
    await until(async () => (await node.read('b', 'earliest')).length === 0);
    expect([await isCut('a'), await isCut('b')]).toEqual([true, true]);
    await node.publish('b', '2');
    expect(await isCut('b')).toBe(true);
  });

  it('reading in pages of any size gives the same as reading at once', async () => {
    const node = await ground.node();
    let run = 0;
    const sizes = fc.array(fc.nat(3000), { minLength: 1, maxLength: 80 });
    const property = fc.asyncProperty(sizes, fc.nat(6000), fc.nat(79), async (sizes, limit, skipped) => {
      run += 1;
      const feed = `run${run}`;
      const { after: before } = await node.history(feed, 'end');
      const published = await Promise.all(sizes.map((size) => node.publish(feed, 'x'.repeat(size))));
      const position = positionOf(published[skipped] ?? before);
      for (const start of ['earliest', before, position] as const) {
        const whole = await node.history(feed, start);
        expect(whole.messages).toHaveLength(published.filter(({ offset }) => start !== position || offset > position.offset).length);
        const pages = await node.pages(feed, start, limit);
        expect(pages.flatMap(({ messages }) => messages)).toEqual(whole.messages);
        expect(pages[0]?.after).toEqual(whole.after);
        expect(pages.at(-1)?.end).toBe(whole.end);
        for (const { messages, end, isReset } of pages) {
          expect(isReset).toBe(false);
          expect(end).toBeGreaterThanOrEqual(messages.at(-1)?.offset ?? 0);
          if (messages.length > 1) expect(messages.reduce((bytes, { text }) => bytes + text.length, 0)).toBeLessThanOrEqual(limit);
        }
      }
    });
    await fc.assert(property, { numRuns: 30 });
  });

  it('a page reports a reset where messages after the page before it have been trimmed', async () => {
    const node = await ground.node({ historyLength: 4 });
    await node.count('a', 1, 4);
    const { messages, after, end, hasMore } = await node.broker.read('a', 'earliest', 2);
    expect(messages.map(({ text }) => text)).toEqual(hasMore ? numbers(1, messages.length) : []);
    const next = { epoch: after.epoch, offset: end };
    await node.count('a', 5, 4 + messages.length);
    expect(await node.history('a', next)).toMatchObject({ isReset: false });
    await node.publish('a', 'one too many');
    const { isReset, messages: left } = await node.history('a', next);
    expect(isReset).toBe(true);
    expect(left).toHaveLength(4);
  });

  it('expired messages are not read, and only positions before them are reset', async () => {
    const node = await ground.node({ historyTtlMs: 1200 });
    const [first, second] = await node.count('a', 1, 2);
    const { after: end } = await node.history('a', 'end');
    await until(async () => (await node.read('a', 'earliest')).length === 0);
    expect(await node.history('a', positionOf(first as StoredMessage))).toMatchObject({ isReset: true, messages: [] });
    expect(await node.history('a', positionOf(second as StoredMessage))).toMatchObject({ isReset: false, messages: [] });
    expect(await node.history('a', end)).toMatchObject({ isReset: false, messages: [] });
    await node.publish('a', '3');
    expect(await node.history('a', positionOf(first as StoredMessage))).toMatchObject({ isReset: true });
    expect(await node.history('a', positionOf(second as StoredMessage))).toMatchObject({ isReset: false });
  });

  it('messages are delivered, and none is stored, where the history length is 0', async () => {
    const node = await ground.node({ historyLength: 0 });
    await node.subscribe('a');
    const [first] = await node.count('a', 1, 3);
    await until(() => node.of('a').length === 3);
    expect(node.texts('a')).toEqual(['1', '2', '3']);
    expect(await node.history('a', positionOf(first as StoredMessage))).toMatchObject({ isReset: true, messages: [] });
  });

  it('history and subscription together have no gap and no duplicate, whenever a subscriber leaves and returns', async () => {
    const step = fc.record({
      feed: fc.integer({ min: 0, max: 2 }),
      action: fc.constantFrom('publish', 'publish', 'publish', 'leave', 'return'),
    });
    const nodes = [await ground.node(), kind.name === 'memory' ? undefined : await ground.node()].filter((node) => node !== undefined);
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), fc.nat(10), fc.boolean(), async (steps, pageBytes, isAtOnce) => {
        run += 1;
        const feeds = [0, 1, 2].map((n) => `run${run}/${n}`);
        const sent = feeds.map(() => [] as string[]);
        const publishes: Promise<unknown>[] = [];
        // A subscriber of each feed on each node, which leaves and resumes from its last message.
        const subscribers = nodes.flatMap((node) =>
          feeds.map((feed) => {
            const got: StoredMessage[] = [];
            let position = nowhere;
            let held: StoredMessage[] | undefined;
            let done: Promise<void> = Promise.resolve();
            const take = (message: StoredMessage) => {
              got.push(message);
              position = positionOf(message);
            };
            const come = async (first: boolean) => {
              held = [];
              const sink = { next: (message: StoredMessage) => (held ? held.push(message) : take(message)), lost: () => {} };
              const subscribed = node.broker.subscribe(feed, sink);
              if (!isAtOnce) await subscribed; // otherwise it is read behind the subscription all the same
              const pages = await node.pages(feed, first ? 'end' : position, pageBytes);
              await subscribed;
              expect(pages.filter(({ isReset }) => isReset)).toEqual([]);
              if (first) position = (pages[0] as History).after;
              for (const { messages } of pages) for (const message of messages) take(message);
              const { end } = pages.at(-1) as History;
              for (const message of held) if (message.offset > end) take(message);
              held = undefined;
            };
            return {
              got,
              leave: () => {
                done = done.then(() => node.broker.unsubscribe(feed));
                return done;
              },
              come: (first = false) => {
                done = done.then(() => come(first));
                return done;
              },
            };
          }),
        );
        await Promise.all(subscribers.map(({ come }) => come(true)));
        let number = 0;
        for (const { feed, action } of steps) {
          if (action === 'publish') {
            number += 1;
            sent[feed]?.push(`${number}`);
            publishes.push((nodes[number % nodes.length] as Node).publish(feeds[feed] as string, `${number}`));
          } else
            for (const [n, subscriber] of subscribers.entries())
              if (n % 3 === feed) (action === 'leave' ? subscriber.leave : subscriber.come)();
          if (number % 7 === 0) await sleep(0);
        }
        await Promise.all(publishes);
        await Promise.all(subscribers.map(({ leave, come }) => leave().then(() => come())));
        for (const [n, { got }] of subscribers.entries()) {
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

  it('a closed broker rejects what it is asked', async () => {
    const node = await ground.node();
    await node.subscribe('a');
    await node.publish('a', '1');
    await node.broker.close();
    await node.broker.close();
    if (kind.name === 'memory') return;
    await expect(node.publish('a', '2')).rejects.toThrow(BrokerUnavailableError);
    await expect(node.history('a', 'earliest')).rejects.toThrow(BrokerUnavailableError);
  });
});

describeSharedBrokers('several nodes on one server:', (kind) => {
  const engine = () => ground.engine as Engine;

  beforeEach(prepare(kind));

  it.each([1, 100])('a burst that is larger than history (%i) is delivered whole', async (historyLength) => {
    const [one, other] = [await ground.node({ historyLength }), await ground.node({ historyLength })];
    await other.subscribe('a');
    const messages = await Promise.all(numbers(1, 2000).map((text) => one.publish('a', text)));
    await until(() => other.of('a').length === 2000);
    expect(other.all.map(({ id }) => id)).toEqual(messages.sort((a, b) => a.offset - b.offset).map(({ id }) => id));
    expect(await other.read('a', 'earliest')).toHaveLength(historyLength);
  });

  it('feeds of another prefix are other feeds', async () => {
    const [one, other] = [await ground.node(), nodeOf(await kind.make(engine().port, roomy, 'other'))];
    await Promise.all([one.subscribe('a'), other.subscribe('a')]);
    const message = await one.publish('a', 'one');
    await other.publish('a', 'other');
    await until(() => one.all.length + other.all.length === 2);
    expect([...one.texts('a'), ...other.texts('a')]).toEqual(['one', 'other']);
    expect(await other.read('a', 'earliest')).toEqual(['other']);
    expect(await other.history('a', positionOf(message))).toMatchObject({ isReset: true });
  });

  it('a message can be read on every node once publish() has resolved', async () => {
    const [one, other] = [await ground.node(), await ground.node()];
    const messages = await one.count('a', 1, 9);
    expect(await other.read('a', positionOf(messages[4] as StoredMessage))).toEqual(numbers(6, 9));
    for (let n = 10; n < 60; n += 1) {
      const position = positionOf(await one.publish('a', `${n}`));
      expect(await other.history('a', position)).toMatchObject({ isReset: false, messages: [] });
      expect(await other.read('a', 'newest')).toEqual([`${n}`]);
    }
    // Also one that has only just been started.
    expect(await (await ground.node()).read('a', positionOf(messages[7] as StoredMessage))).toEqual(numbers(9, 59));
  });

  it('publishing is rejected while the server is down, and nothing acknowledged is lost when it is back', async () => {
    const [one, other] = [await ground.node(), await ground.node()];
    await Promise.all([one.subscribe('a'), other.subscribe('a')]);
    const [first] = await one.count('a', 1, 3);
    const killed = Date.now();
    await engine().kill();
    await expect(one.publish('a', 'lost')).rejects.toThrow(BrokerUnavailableError);
    await until(() => !one.isAvailable && !other.isAvailable);
    expect(one.broker.unavailableSince).toBeGreaterThanOrEqual(killed);
    await engine().restart();
    await until(() => one.isAvailable && other.isAvailable);
    await other.count('a', 4, 6);
    for (const node of [one, other]) {
      await until(() => node.of('a').length === 6);
      expect(node.texts('a')).toEqual(numbers(1, 6));
      expect(await node.read('a', positionOf(first as StoredMessage))).toEqual(numbers(2, 6));
    }
  });

  it('a node that was cut off gets what it missed, in the order of all feeds', async () => {
    const { node, link } = await ground.linked();
    const other = await ground.node();
    const feeds = ['a', 'b', 'c'];
    await node.subscribe(...feeds);
    await other.count('a', 1, 3);
    await until(() => node.of('a').length === 3);
    for (const round of [0, 1, 2]) {
      link.cut();
      for (let n = 0; n < 60; n += 1) await other.publish(feeds[n % 3] as string, `${round} ${n}`);
      link.sever();
      link.mend();
      await other.count('b', 1, 3);
    }
    await until(() => node.all.length === 3 + 3 * 63);
    expect(node.isInOrder).toBe(true);
  });

  it('a node that reconnects gets what it missed in order while others publish', async () => {
    const { node, link } = await ground.linked();
    const other = await ground.node();
    const feeds = Array.from({ length: 100 }, (_, n) => `${n}`);
    await node.subscribe(...feeds);
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
      await node.reconnects();
    }
    isOver = true;
    await Promise.all(publishers);
    await until(() => node.all.length === published);
    expect(node.isInOrder).toBe(true);
  });

  it('nodes continue after the server was paused', async () => {
    const [one, other] = [await ground.node(), await ground.node()];
    await other.subscribe('a');
    await one.count('a', 1, 3);
    engine().pause();
    const inBetween = one.publish('a', '4').catch((error) => expect(error).toBeInstanceOf(BrokerUnavailableError));
    await sleep(1500);
    engine().resume();
    await inBetween;
    await until(() => one.isAvailable);
    await one.publish('a', '5');
    await until(() => other.texts('a').includes('5'));
    expect(other.texts('a').filter((text) => text !== '4')).toEqual(['1', '2', '3', '5']);
    expect(new Set(other.texts('a')).size).toBe(other.of('a').length);
  });

  it('a node notices a server that does not answer, and recovers with it', async () => {
    const { node, link } = await ground.linked();
    const other = await ground.node();
    await node.subscribe('a');
    link.cut();
    await expect(node.publish('a', 'perhaps')).rejects.toThrow(BrokerUnavailableError);
    await until(() => !node.isAvailable);
    await other.count('a', 1, 3);
    link.mend();
    await until(() => node.isAvailable);
    await until(() => node.texts('a').includes('3'));
    expect(node.texts('a').filter((text) => text !== 'perhaps')).toEqual(numbers(1, 3));
  });

  it('a feed that is subscribed to while the server is down is delivered once it is back', async () => {
    const node = await ground.node();
    const { after } = await node.history('a', 'end');
    await engine().kill();
    await until(() => !node.isAvailable);
    await node.subscribe('a').catch((error) => expect(error).toBeInstanceOf(BrokerUnavailableError));
    await engine().restart();
    await until(() => node.isAvailable);
    const other = await ground.node();
    await other.count('a', 1, 3);
    await until(() => node.of('a').length === 3);
    expect(node.texts('a')).toEqual(numbers(1, 3));
    expect(await node.read('a', after)).toEqual(numbers(1, 3));
  });

  it('subscribers are told that messages are lost where history kept fewer than they missed', async () => {
    const { node, link } = await ground.linked({ historyLength: 2100, historyBytes: 1e7 });
    const other = await ground.node({ historyLength: 2100, historyBytes: 1e7 });
    await node.subscribe('busy', 'calm');
    await other.count('busy', 1, 3);
    await other.count('calm', 1, 3);
    await until(() => node.all.length === 6);
    link.cut();
    await other.count('busy', 4, 2500);
    await other.count('calm', 4, 8);
    link.sever();
    link.mend();
    await until(() => node.texts('busy').includes('2500') && node.texts('calm').includes('8'));
    expect(node.texts('busy')).toEqual([...numbers(1, 3), 'lost', ...numbers(401, 2500)]);
    expect(node.texts('calm')).toEqual(numbers(1, 8));
  });

  it('subscribers are told that messages are lost where the server lost its data', async () => {
    const node = await ground.node();
    await node.subscribe('a', 'b');
    const [first] = await node.count('a', 1, 3);
    await until(() => node.of('a').length === 3);
    await engine().kill();
    await engine().wipe();
    await engine().restart();
    await until(() => node.isAvailable);
    await node.count('a', 4, 5);
    await until(() => node.texts('a').includes('5'));
    expect(node.texts('a')).toEqual(['1', '2', '3', 'lost', '4', '5']);
    expect(node.texts('b')).toEqual(['lost']);
    const { isReset, messages } = await node.history('a', positionOf(first as StoredMessage));
    expect(isReset).toBe(true);
    expect(messages.map(({ text }) => text)).toEqual(['4', '5']);
  });

  it('a node starts without its server, and works once the server is up', async () => {
    await engine().kill();
    const node = await ground.node();
    expect(node.isAvailable).toBe(false);
    await expect(node.publish('a', '1')).rejects.toThrow(BrokerUnavailableError);
    await expect(node.history('a', 'earliest')).rejects.toThrow(BrokerUnavailableError);
    await engine().restart();
    await until(() => node.isAvailable);
    await node.subscribe('a');
    await node.count('a', 2, 3);
    await until(() => node.of('a').length === 2);
    expect(node.texts('a')).toEqual(['2', '3']);
  });

  it('a node starts with a paused server, and closes without waiting for it', async () => {
    engine().pause();
    const node = await ground.node();
    expect(node.isAvailable).toBe(false);
    await expect(node.publish('a', '1')).rejects.toThrow(BrokerUnavailableError);
    await node.broker.close();
  });
});
