import { FeedTokenService } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { closeAll, type ModuleOptions, platforms, publishKey, type Served, serveFeeds, until } from '../support/serve.js';
import { jwtSecret } from '../support/tokens.js';

describe.each(platforms)('limits on %s', (platform) => {
  let served: Served;
  const start = async (options: ModuleOptions) => {
    served = await serveFeeds(platform, options);
  };
  /** Asks for a feed, and tells the status; what is answered with 200 stays open. */
  const follow = async (path = '/feeds/a', ...headers: string[]) => {
    const peer = await Peer.get(served.port, path, ...headers);
    await peer.sees('\r\n\r\n');
    return { peer, status: peer.status };
  };

  afterEach(closeAll);

  it('on all connections refuse one too many with 503 and Retry-After, and take it when there is room again', async () => {
    await start({ maxConnections: 2 });
    const [first] = [await follow(), await follow()];
    const refused = await fetch(`${served.url}/feeds/a`);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5']);
    expect(await refused.json()).toMatchObject({ code: 'FEED_UNAVAILABLE', retryAfter: 5 });
    expect(served.feeds.counts()).toMatchObject({ open: 2, rejected: 1, limit: 2 });
    first.peer.leave();
    await until(() => served.feeds.counts().open === 1);
    expect((await follow()).status).toBe(200);
  });

  it('per client refuse one too many with 429, take it when another has left, and say why in the counts', async () => {
    await start({ maxConnectionsPerClient: 2 });
    const [first] = [await follow(), await follow()];
    const refused = await follow();
    expect(refused.status).toBe(429);
    expect(refused.peer.head).toMatch(/\r\nretry-after: 5\r\n/i);
    // What is refused keeps no descriptor.
    expect(await refused.peer.closed()).toContain('FEED_TOO_MANY');
    expect(served.feeds.counts()).toMatchObject({ open: 2, rejected: 1, rejectedBy: { client: 1, limit: 0, rate: 0 } });
    first.peer.leave();
    await until(() => served.feeds.counts().open === 1);
    expect((await follow()).status).toBe(200);
  });

  it('bound how many a client opens in a minute', async () => {
    await start({ connectionRatePerClient: 3 });
    for (let n = 0; n < 3; n += 1) {
      const { peer, status } = await follow();
      expect(status).toBe(200);
      peer.leave();
    }
    await until(() => served.feeds.counts().open === 0);
    const { peer, status } = await follow();
    expect(status).toBe(429);
    expect(Number(/\r\nretry-after: (\d+)\r\n/i.exec(peer.head)?.[1])).toBeLessThanOrEqual(20);
    expect(served.feeds.counts().rejectedBy).toMatchObject({ rate: 1 });
  });

  it('count by what a trusted proxy says, and by nobody else', async () => {
    const from = (address: string) => `X-Forwarded-For: 6.6.6.6, ${address}`;
    await start({ maxConnectionsPerClient: 1, trustedProxies: ['loopback'] });
    expect((await follow('/feeds/a', from('192.0.2.1'))).status).toBe(200);
    expect((await follow('/feeds/a', from('192.0.2.2'))).status).toBe(200);
    expect((await follow('/feeds/a', from('192.0.2.1'))).status).toBe(429);
    await served.app.close();
    await start({ maxConnectionsPerClient: 1 });
    expect((await follow('/feeds/a', from('192.0.2.1'))).status).toBe(200);
    expect((await follow('/feeds/a', from('192.0.2.2'))).status).toBe(429);
  });

  it('count by the subject of a token, where it has one, and else by the address', async () => {
    await start({ maxConnectionsPerClient: 1, jwtSecret, publishKey });
    const tokens = served.app.get(FeedTokenService, { strict: false });
    const bearer = (token: string) => `Authorization: Bearer ${token}`;
    const tokenOf = async (subject?: string) => bearer(await tokens.create({ feeds: '*', ...(subject && { subject }) }));
    for (const name of ['ada', 'grace', '127.0.0.1']) expect((await follow('/feeds/a', await tokenOf(name))).status).toBe(200);
    expect((await follow('/feeds/a', await tokenOf('ada'))).status).toBe(429);
    expect((await follow('/feeds/a', bearer(publishKey))).status).toBe(200);
    expect((await follow('/feeds/a', await tokenOf())).status).toBe(429);
  });

  it('are not used up by connections that never opened', async () => {
    await start({
      maxConnectionsPerClient: 1,
      source: () => {
        throw new Error('at once');
      },
    });
    for (let n = 0; n < 3; n += 1) expect((await follow()).status).toBe(500);
  });
});
