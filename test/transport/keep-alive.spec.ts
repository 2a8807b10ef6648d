import { interval, map } from 'rxjs';
import { closeAll, follow, type ModuleOptions, platforms, type Served, serveFeeds, until } from '../support/serve.js';

describe.each(platforms)('keep-alive on %s', (platform) => {
  let served: Served;
  const start = async (options: ModuleOptions) => {
    served = await serveFeeds(platform, options);
  };
  afterEach(closeAll);

  it.each([
    ['text', /^\n\n/],
    ['sse', /^: connection \S+\n\nid: [a-z0-9]+-0\n\n:\n\n:\n\n/],
    ['ndjson', /^\n\n/],
  ])('breaks the silence of a connection in %s', async (format, silence) => {
    await start({ heartbeatMs: 40 });
    const peer = await follow(served, `/feeds/a?format=${format}`);
    await until(() => silence.test(peer.body));
    const { messages } = served.feeds.counts();
    expect(messages).toBe(0);
  });

  it('gives no heartbeat to a connection that is not silent', async () => {
    await start({ heartbeatMs: 400, source: () => interval(20).pipe(map((n) => `${n}`)) });
    const peer = await follow(served, '/feeds/a');
    await peer.sees('\n50\n');
    expect(peer.body).not.toContain('\n\n');
  });

  it('ends connections that have had their time, in good order', async () => {
    await start({ maxAgeMs: 100 });
    const peers = await Promise.all(['/feeds/a', '/feeds/b'].map((path) => follow(served, path)));
    for (const peer of peers) {
      await peer.closed();
      expect(peer.isComplete).toBe(true);
    }
    expect(served.feeds.counts().closed).toMatchObject({ aged: 2, expired: 0 });
  });
});
