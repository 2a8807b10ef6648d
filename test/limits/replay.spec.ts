import { redisBroker } from '../../src/feed/broker/redis/index.js';
import { missing } from '../../tools/engines.mjs';
import { startEngine } from '../support/brokers.js';
import { collectGarbage } from '../support/garbage.js';
import { Peer } from '../support/peer.js';
import { closeAll, platforms, serveFeeds, until } from '../support/serve.js';
import { untilSteady } from '../support/until.js';

const feeds = Array.from({ length: 10 }, (_, n) => `f${n}`);
const readers = 5;

(missing().includes('redis-server') ? describe.skip : describe).each(platforms)('history of Redis on %s', (platform) => {
  afterEach(closeAll);

  it('is held by the page for clients that do not read, however long it is', async () => {
    const engine = await startEngine('redis');
    const history = { historyBytes: 1 << 24, historyTotalBytes: 1 << 30 };
    const served = await serveFeeds(platform, { broker: redisBroker(engine.url), ...history, stallMs: 0, drainMs: 0 });
    const text = 'y'.repeat(20_000);
    for (let n = 0; n < 100; n += 1) await served.feeds.publishMany(feeds, text);
    const used = () => {
      collectGarbage();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const before = used();
    const target = `/feeds?since=earliest&${feeds.map((feed) => `id=${feed}`).join('&')}`;
    const peers = await Promise.all(Array.from({ length: readers }, () => Peer.get(served.port, target)));
    await Promise.all(
      peers.map(async (peer) => {
        await peer.sees('200 OK');
        peer.socket.pause();
      }),
    );
    await until(() => served.feeds.counts().bufferedBytes > 0);
    await untilSteady(() => served.feeds.counts().bufferedBytes);
    // Each of them has asked for 20 MB.
    expect(used() - before).toBeLessThan(20_000_000);
    expect(served.feeds.counts()).toMatchObject({ open: readers, closed: { slow: 0 } });
  });
});
