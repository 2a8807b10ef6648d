import { RequestMethod } from '@nestjs/common';
import { Feed, FeedOptionsError, type FeedService } from '../../src/index.js';
import { closeAll, follow, platforms, serveFeeds } from '../support/serve.js';

/** What `catch` gives is of the type `any`, and so is JSON: TypeScript lets it through to every method. */
// biome-ignore lint/suspicious/noExplicitAny: that is what is tested
type Any = any;

describe.each(platforms)('arguments of FeedService that are not what they may be, on %s,', (platform) => {
  afterEach(closeAll);

  const wrong: [string, string, (feeds: FeedService, value: Any) => unknown, Any[]][] = [
    [
      'finish() with options',
      'FEED_MESSAGE',
      (feeds, value) => feeds.finish('a', value),
      [null, 5, 'failed', new Error('x'), { reason: 'x' }],
    ],
    [
      'finish() with an error',
      'FEED_MESSAGE',
      (feeds, error) => feeds.finish('a', { error }),
      [new Error('disk full'), null, 5, {}, 'x'.repeat(1001)],
    ],
    ['finish() with a feed', 'FEED_ID', (feeds, feed) => feeds.finish(feed), [null, 5, '', 'a b']],
    ['run() with options', 'FEED_OPTIONS', (feeds, value) => feeds.run('a', () => [], value), [null, 5, { onlost: 'fail' }]],
    ['run() with coalesceMs', 'FEED_OPTIONS', (feeds, coalesceMs) => feeds.run('a', () => [], { coalesceMs }), ['x', -1, 0.5, null]],
    ['run() with onLost', 'FEED_OPTIONS', (feeds, onLost) => feeds.run('a', () => [], { onLost }), ['never', null, true]],
    ['run() with a type', 'FEED_OPTIONS', (feeds, type) => feeds.run('a', () => [], { type }), ['end', 'reset', 'error', '', 5, 'a\nb']],
    ['run() with a producer', 'FEED_OPTIONS', (feeds, producer) => feeds.run('a', producer), [undefined, null, [1, 2]]],
    ['run() with a feed', 'FEED_ID', (feeds, feed) => feeds.run(feed, () => []), [null, 5, '', 'a b']],
    ['end() with a feed', 'FEED_ID', (feeds, feed) => feeds.end(feed), [null, 5, '', 'a b']],
    ['end() with a reason', 'FEED_QUERY', (feeds, reason) => feeds.end('a', reason), ['because', null, 5]],
    [
      'disconnect() with a filter',
      'FEED_QUERY',
      (feeds, filter) => feeds.disconnect(filter),
      [{ subjct: 'x' }, {}, { subject: 5 }, { node: '' }],
    ],
    ['disconnect() with a reason', 'FEED_QUERY', (feeds, reason) => feeds.disconnect({ feed: 'a' }, { reason }), ['', 5, {}, null]],
    ['disconnect() with reconnect', 'FEED_QUERY', (feeds, reconnect) => feeds.disconnect({ feed: 'a' }, { reconnect }), ['no', 0, null]],
    [
      'connections() with a query',
      'FEED_QUERY',
      (feeds, query) => feeds.connections(query),
      [{ subjct: 'x' }, { limit: '5' }, { after: 5 }],
    ],
    ['messages() with since', 'FEED_SINCE', async (feeds, since) => feeds.messages('a', { since }), [5, null, {}, '']],
    ['history() with since', 'FEED_SINCE', (feeds, since) => feeds.history('a', { since }), [5, null, {}, '']],
    ['history() with last', 'FEED_QUERY', (feeds, last) => feeds.history('a', { last }), ['5', null, 0]],
    ['list() with a prefix', 'FEED_QUERY', (feeds, prefix) => feeds.list({ prefix }), [5, null, '*']],
    ['list() with after', 'FEED_ID', (feeds, after) => feeds.list({ after }), [5, null, '']],
    ['publish() with a key', 'FEED_MESSAGE', (feeds, key) => feeds.publish('a', 1, { key }), [5, null, '']],
    ['publish() with a type', 'FEED_MESSAGE', (feeds, type) => feeds.publish('a', 1, { type }), [5, null, '']],
  ];

  it.each(wrong)('%s, are rejected as %s, and nothing has happened', async (_, code, call, values) => {
    const served = await serveFeeds(platform);
    const { feeds } = served;
    const follower = await follow(served, '/feeds/a?format=ndjson');
    for (const value of values) {
      const outcome = await Promise.resolve()
        .then(() => call(feeds, value))
        .catch((error) => error);
      expect([value, outcome]).toEqual([value, expect.objectContaining({ code, message: expect.stringMatching(/.{15}/) })]);
    }
    await feeds.publish('a', 'still there');
    await follower.sees('still there');
    expect(feeds.counts().open).toBe(1);
  });
});

it('options of a run are checked where its route is made', () => {
  const route = (run: Any) => Feed('x', { run, method: RequestMethod.GET });
  for (const run of [{ coalesceMs: 'x' }, { onLost: 'never' }, { typ: 'x' }, 'yes', null])
    expect(() => route(run)).toThrow(FeedOptionsError);
  for (const run of [true, false, undefined, {}, { coalesceMs: 5, onLost: 'restart', type: 'x' }]) expect(() => route(run)).not.toThrow();
});
