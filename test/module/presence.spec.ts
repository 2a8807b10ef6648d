import type { FeedEvent } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { closeAll, platforms, serveFeeds, until } from '../support/serve.js';

afterEach(closeAll);

describe.each(platforms)('presence on %s', (platform) => {
  it('tells who comes and goes, and which feeds are followed', async () => {
    const served = await serveFeeds(platform, { nodeName: 'n' });
    const events: FeedEvent[] = [];
    served.feeds.events$.subscribe((event) => events.push(event));
    const begun = Date.now();
    const one = await Peer.get(served.port, '/feeds/a');
    await until(() => events.length === 2);
    const two = await Peer.get(served.port, '/feeds?id=a&id=b');
    await until(() => events.length === 4);
    one.leave();
    await until(() => events.length === 5);
    served.feeds.end('b');
    await two.closed();
    await until(() => events.length === 8);
    const ids = new Set<string>();
    const told = events.map((event) => {
      expect(event.time).toBeGreaterThanOrEqual(begun);
      const { time, id, ...rest } = event;
      ids.add(id);
      return rest;
    });
    const durationMs = expect.any(Number);
    const node = { node: 'n', process: expect.stringMatching(/^[\w-]{36}$/) };
    expect(told).toEqual([
      { type: 'followed', node: 'n', feed: 'a' },
      { type: 'opened', ...node, connection: 'n-1', feeds: ['a'] },
      { type: 'followed', node: 'n', feed: 'b' },
      { type: 'opened', ...node, connection: 'n-2', feeds: ['a', 'b'] },
      { type: 'closed', ...node, connection: 'n-1', feeds: ['a'], reason: 'client', durationMs },
      { type: 'closed', ...node, connection: 'n-2', feeds: ['a', 'b'], reason: 'completed', durationMs },
      { type: 'unfollowed', node: 'n', feed: 'a' },
      { type: 'unfollowed', node: 'n', feed: 'b' },
    ]);
    expect(ids.size).toBe(events.length);
  });
});
