import { jest } from '@jest/globals';
import { Injectable, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Broker, FeedModule, FeedService } from '../../src/index.js';
import { FeedRecorder, FeedTimeoutError, follow } from '../../src/testing/index.js';
import { closeAll, platforms, serveFeeds } from '../support/serve.js';

/** What an application that is tested does with the module. */
@Injectable()
class Orders {
  constructor(private readonly feeds: FeedService) {}

  async send(id: string): Promise<void> {
    await this.feeds.publish(`orders/${id}`, { status: 'sent' }, { type: 'change' });
    await this.feeds.publish('audit', id);
  }
}

/** Its broker is out of reach in a test. */
@Module({
  imports: [
    FeedModule.forRoot({
      broker: () => {
        throw new Error('there is no server');
      },
    }),
  ],
  providers: [Orders],
})
class AppModule {}

describe('a recorder', () => {
  let recorder: FeedRecorder;
  beforeEach(() => {
    recorder = new FeedRecorder();
  });
  afterEach(closeAll);

  /** The application with the recorder in the place of its broker. */
  const application = () =>
    Test.createTestingModule({ imports: [AppModule] })
      .overrideProvider(Broker)
      .useFactory({ factory: recorder.broker })
      .compile();

  it('stands in the place of the broker and has what was published, in order', async () => {
    const module = await application();
    await module.get(Orders).send('7');
    expect(recorder.messages()).toMatchObject([
      { feed: 'orders/7', type: 'change', data: { status: 'sent' } },
      { feed: 'audit', data: '7' },
    ]);
    expect(recorder.messages('audit')).toEqual([{ id: expect.any(String), feed: 'audit', data: '7', time: expect.any(Number) }]);
    expect(recorder.messages('orders/8')).toEqual([]);
    recorder.clear();
    expect(recorder.messages()).toEqual([]);
    expect((await module.get(FeedService).history('audit')).messages).toHaveLength(1);
    await module.close();
  });

  it('waits for the next message of a feed, whether it has been published or not', async () => {
    const module = await application();
    const orders = module.get(Orders);
    await orders.send('7');
    expect(await recorder.next('orders/7')).toMatchObject({ data: { status: 'sent' } });
    const next = recorder.next('orders/7');
    const other = recorder.next('orders/8');
    await orders.send('8');
    await orders.send('7');
    expect((await next).id).toBe(recorder.messages('orders/7')[1]?.id);
    expect(await other).toMatchObject({ feed: 'orders/8' });
    const late = await recorder.next('orders/7', { timeoutMs: 20 }).catch((error: unknown) => error);
    expect(late).toBeInstanceOf(FeedTimeoutError);
    expect((late as Error).message).toBe(
      'The recorded feed "orders/7": no message within 20 ms. So far, on all feeds: 6, the last 5 of them:\n' +
        '  {"feed":"audit","data":"7"}\n  {"feed":"orders/8","type":"change","data":{"status":"sent"}}\n' +
        '  {"feed":"audit","data":"8"}\n  {"feed":"orders/7","type":"change","data":{"status":"sent"}}\n' +
        '  {"feed":"audit","data":"7"}',
    );
    await orders.send('7');
    expect((await recorder.next('orders/7')).id).toBe(recorder.messages('orders/7')[2]?.id);
    await module.close();
  });

  it('has real time limits where a test fakes the time', async () => {
    jest.useFakeTimers({ doNotFake: ['Date'] });
    try {
      await expect(recorder.next('a', { timeoutMs: 10 })).rejects.toThrow(FeedTimeoutError);
    } finally {
      jest.useRealTimers();
    }
  });

  it('goes on where a loop over a feed was left', async () => {
    const module = await application();
    const feeds = module.get(FeedService);
    for (const n of [1, 2, 3]) await feeds.publish('a', n);
    for await (const { data } of recorder.feed('a')) if (data === 2) break;
    expect(await recorder.next('a')).toMatchObject({ data: 3 });
    recorder.clear();
    await feeds.publish('a', 4);
    expect(await recorder.next('a')).toMatchObject({ data: 4 });
    await module.close();
  });

  it('records what is stored, once and as it was then: ends, and no repetition', async () => {
    const module = await application();
    const feeds = module.get(FeedService);
    const data = { n: 1 };
    await feeds.publish('a', data, { key: 'k' });
    data.n = 2;
    await feeds.publish('a', { n: 1 }, { key: 'k' });
    await feeds.finish('a');
    await expect(feeds.publish('a', 3)).rejects.toMatchObject({ code: 'FEED_ENDED' });
    (recorder.messages('a')[0]?.data as typeof data).n = 3;
    expect(recorder.messages('a')).toMatchObject([{ data: { n: 1 } }, { type: 'end', data: { reason: 'completed' } }]);
    await module.close();
  });

  it('keeps the order where a subscriber publishes in response', async () => {
    const module = await application();
    const feeds = module.get(FeedService);
    const answering = feeds.messages('a').subscribe(({ data }) => void feeds.publish('b', data));
    await new Promise((resolve) => setImmediate(resolve));
    await Promise.all([feeds.publish('a', 1), feeds.publish('a', 2)]);
    expect(recorder.messages().map(({ feed, data }) => [feed, data])).toEqual([
      ['a', 1],
      ['b', 1],
      ['a', 2],
      ['b', 2],
    ]);
    answering.unsubscribe();
    await module.close();
  });

  it('rejects what is not a feed, and a time limit that is none', async () => {
    expect(() => recorder.messages('a b')).toThrow("A feed's id is");
    expect(() => recorder.feed('$nodes')).toThrow("A feed's id is");
    await expect(recorder.next('a', { timeoutMs: 0.5 })).rejects.toThrow(
      'FeedRecorder\'s option "timeoutMs" must be a whole number of milliseconds, not 0.5',
    );
  });

  it.each(platforms)('delivers to those who follow, and stores within the bounds of the module and its rules, on %s', async (platform) => {
    const rules = { 'few/*': { historyLength: 1 } };
    const { app, feeds } = await serveFeeds(platform, { broker: recorder.broker, historyLength: 2, rules, drainMs: 0 });
    for (const n of [1, 2, 3]) for (const feed of ['a', 'few/a']) await feeds.publish(feed, n);
    const messages = await follow(app, '/feeds/a?since=earliest');
    expect((await messages.next()).value).toMatchObject({ data: 2 });
    expect((await messages.next()).value).toMatchObject({ data: 3 });
    await feeds.publish('a', 4);
    expect((await messages.next()).value).toEqual(recorder.messages('a')[3]);
    expect((await feeds.history('few/a')).messages).toMatchObject([{ data: 3 }]);
    expect(recorder.messages('few/a')).toHaveLength(3);
  });
});
