import { AssertionError } from 'node:assert';
import { expectMessages, FeedRecorder, FollowError, follow } from '../../src/testing/index.js';
import { closeAll, platforms, type Served, serveFeeds } from '../support/serve.js';

/** The error of an expectation that does not hold. */
async function failure(promise: Promise<unknown>): Promise<AssertionError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(AssertionError);
  return error as AssertionError;
}

describe.each(platforms)('expectMessages() on %s', (platform) => {
  let served: Served;
  beforeEach(async () => {
    served = await serveFeeds(platform, { drainMs: 0 });
  });
  afterEach(closeAll);

  it('holds where the data is what is expected, or the message as far as it is', async () => {
    const { app, feeds } = served;
    const messages = await follow(app, '/feeds/a');
    const at = new Date(0);
    await feeds.publish('a', { n: 1, at, none: undefined }, { type: 'one' });
    await feeds.publish('a', 'text');
    const third = await feeds.publish('a', { data: 3, more: true }, { type: 'three' });
    await feeds.publish('a', [4]);
    const came = await expectMessages(messages, [
      { n: 1, at },
      { type: undefined, data: 'text' },
      { type: 'three', data: { data: 3, more: true } },
    ]);
    expect(came[2]).toEqual(third);
    await expectMessages(messages, [[4]]);
    await feeds.publish('a', { data: 5, more: true });
    await feeds.finish('a');
    await expectMessages(messages, [
      { data: 5, more: true },
      { feed: 'a', type: 'end', data: { reason: 'completed' } },
    ]);
    await expectMessages(messages, []);
    const typed = await follow<number[]>(app, '/feeds/a?since=earliest');
    await expectMessages(typed, [{ type: 'one', data: { n: 1, at } }]);
    expect((await typed.next()).value?.data.length).toBe('text'.length);
  });

  it('shows the difference where other messages come', async () => {
    const { app, feeds } = served;
    const messages = await follow(app, '/feeds/a');
    await feeds.publish('a', { status: 'sent' }, { type: 'change' });
    await feeds.publish('a', { status: 'lost' }, { type: 'change' });
    const expected = [{ status: 'sent' }, { type: 'change', data: { status: 'delivered' } }];
    const error = await failure(expectMessages(messages, expected));
    expect(error).toMatchObject({
      code: 'ERR_ASSERTION',
      actual: [{ data: { status: 'sent' } }, { type: 'change', data: { status: 'lost' } }],
      expected: [{ data: { status: 'sent' } }, { type: 'change', data: { status: 'delivered' } }],
    });
    expect(error.message).toMatch(/^GET http:\S+\/feeds\/a: 2 of 2 expected messages came\.\n/);
    expect(error.message.match(/^\+ +status: 'lost'$/gm)).toHaveLength(1);
    expect(error.message).toMatch(/^- +status: 'delivered'$/m);
    expect(error.stack).toContain('expect-messages.spec.ts');
  });

  it('shows the difference where fewer messages come in time, or until the feed ends', async () => {
    const { app, feeds } = served;
    const messages = await follow(app, '/feeds/a');
    await feeds.publish('a', 1);
    const late = await failure(expectMessages(messages, [1, 2], { timeoutMs: 50 }));
    expect(late.message).toMatch(/feeds\/a: 1 of 2 expected messages came within 50 ms\.\n/);
    expect(late.message).toMatch(/^- +data: 2$/m);
    await feeds.finish('a');
    const ended = await failure(expectMessages(messages, [{ type: 'end', data: { reason: 'completed' } }, 2]));
    expect(ended.message).toMatch(/feeds\/a: 1 of 2 expected messages came, and the feed ended\.\n/);
  });

  it('fails as the response does where that breaks off', async () => {
    const { app } = served;
    const messages = await follow(app, '/feeds/a');
    const expected = expectMessages(messages, [1]);
    app.getHttpServer().closeAllConnections();
    served.feeds.end('a', 'slow');
    await expect(expected).rejects.toBeInstanceOf(FollowError);
  });
});

describe('expectMessages()', () => {
  it('takes the messages of a recorder', async () => {
    const recorder = new FeedRecorder();
    const { feeds } = await serveFeeds('express', { broker: recorder.broker });
    const expected = expectMessages(recorder.feed('a'), [1, { type: 'two', data: 2 }]);
    await feeds.publish('a', 1);
    await feeds.publish('b', 0);
    await feeds.publish('a', 2, { type: 'two' });
    await expected;
    const { message } = await failure(expectMessages(recorder.feed('b'), [1]));
    expect(message).toMatch(/^The recorded feed "b": 1 of 1 expected messages came\.\n/);
    await closeAll();
  });
});
