import type { FeedMessage, FeedOptions } from '../../src/index.js';
import type { Engine } from '../../tools/engines.mjs';
import { numbers } from '../support/broker-node.js';
import { type BrokerKind, describeSharedBrokers, engineOf, linkTo } from '../support/brokers.js';
import { atEnd } from '../support/ends.js';
import { closeAll, serveFeeds, until } from '../support/serve.js';

describeSharedBrokers('messages() for the application itself, on', (kind: BrokerKind) => {
  let engine: Engine;
  const start = (port: number, options: FeedOptions = {}) =>
    serveFeeds('fastify', { drainMs: 0, broker: (context) => kind.make(port, context), ...options });

  beforeEach(async () => {
    engine = (await engineOf(kind)) as Engine;
  });
  afterEach(closeAll);

  it('waits for a broker that is unavailable at the start', async () => {
    const writer = await start(engine.port);
    await writer.feeds.publish('a', 'before');
    await writer.app.close();
    await engine.kill();
    const { feeds } = await start(engine.port, { rules: { 'newest/*': { replay: 'newest' } } });
    const seen = { live: [] as FeedMessage[], newest: [] as FeedMessage[], earliest: [] as FeedMessage[] };
    // Without an error handler: RxJS has an error that comes end the process.
    const subscriptions = [
      feeds.messages('a').subscribe((message) => seen.live.push(message)),
      feeds.messages('newest/a').subscribe((message) => seen.newest.push(message)),
      feeds.messages('a', { since: 'earliest' }).subscribe((message) => seen.earliest.push(message)),
    ];
    atEnd(() => subscriptions.forEach((subscription) => void subscription.unsubscribe()));
    await expect(feeds.publish('a', 'lost')).rejects.toThrow();
    await engine.restart();
    await until(async () => {
      await feeds.publish('a', 'again').catch(() => {});
      await feeds.publish('newest/a', 'again').catch(() => {});
      return Object.values(seen).every((messages) => messages.at(-1)?.data === 'again');
    });
    expect(feeds.subscribers('a')).toBe(2);
    for (const subscription of subscriptions) subscription.unsubscribe();
    expect(feeds.subscribers('a')).toBe(0);
  });

  it('goes on where it was when the broker is lost while history is read', async () => {
    const history = { historyLength: 1000, bufferBytes: 16_384 };
    const writer = await start(engine.port, history);
    const all = numbers(1, 300);
    for (const number of all) await writer.feeds.publish('a', number.padEnd(1000));
    const link = await linkTo(engine);
    const reader = await start(link.port, history);
    await until(() => reader.feeds.status.broker.unavailableSince === undefined);
    const seen: string[] = [];
    const subscription = reader.feeds.messages('a', { since: 'earliest' }).subscribe(({ type, data }) => {
      seen.push(type === 'reset' ? 'reset' : `${data}`.trim());
      if (seen.length === 10) link.sever();
    });
    atEnd(() => subscription.unsubscribe());
    await until(() => seen.length === 300);
    await writer.feeds.publish('a', 'last');
    await until(() => seen.includes('last'));
    expect(seen).toEqual([...all, 'last']);
  });
});
