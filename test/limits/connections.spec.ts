import { Peer } from '../support/peer.js';
import { closeAll, platforms, serveFeeds, until } from '../support/serve.js';

afterEach(closeAll);

describe.each(platforms)('a limit on connections on %s', (platform) => {
  it('refuses one more with 503 and Retry-After, and takes it when there is room again', async () => {
    const served = await serveFeeds(platform, { intervalMs: 1000, maxConnections: 2 });
    const peers = await Promise.all([1, 2].map((id) => Peer.get(served.port, `/feeds/${id}`)));
    await Promise.all(peers.map((peer) => peer.sees('welcomes')));
    const refused = await fetch(`${served.url}/feeds/3`);
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('5');
    expect(await refused.json()).toMatchObject({ code: 'FEED_UNAVAILABLE', retryAfter: 5 });
    expect(served.feeds.counts()).toMatchObject({ open: 2, rejected: 1, limit: 2 });
    peers[0]?.leave();
    await until(() => served.feeds.counts().open === 1);
    const peer = await Peer.get(served.port, '/feeds/3');
    await peer.sees('welcomes');
  });
});
