import type { Peer } from '../support/peer.js';
import { closeAll, follow as followFeed, type ModuleOptions, platforms, type Served, serveFeeds, until } from '../support/serve.js';

const data = (peer: Peer) => peer.lines.map((line) => line.data);

describe.each(platforms)('rules on %s', (platform) => {
  let served: Served;
  const start = async (options: ModuleOptions = {}) => {
    served = await serveFeeds(platform, options);
  };
  /** Follows in NDJSON. */
  const follow = (query: string, ...headers: string[]) =>
    followFeed(served, `/feeds${query}${query.includes('?') ? '&' : '?'}format=ndjson`, ...headers);
  /** Publishes one after the other; the id of the last. */
  const publish = async (feed: string, ...all: unknown[]) => {
    let id = '';
    for (const each of all) id = (await served.feeds.publish(feed, each)).id as string;
    return id;
  };
  afterEach(closeAll);

  it('gives a new follower the last message of a feed whose rule says so', async () => {
    await start({ rules: { 'prices/*': { replay: 'newest' } } });
    await publish('prices/a', 1, 2);
    await publish('prices/b', 3);
    await publish('other', 4);
    const one = await follow('/prices/a');
    const several = await follow('?id=prices/a&id=prices/b&id=other&id=prices/none');
    const [resumed, end] = [await follow('/prices/a?since=earliest'), await follow('/prices/a?since=latest')];
    await publish('prices/a', 5);
    for (const peer of [one, several, resumed, end]) await peer.sees('"data":5');
    expect(data(one)).toEqual([2, 5]);
    expect(data(several)).toEqual([2, 3, 5]);
    expect(data(resumed)).toEqual([1, 2, 5]);
    expect(data(end)).toEqual([5]);
  });

  it('whoever is given the last message again does not get it a second time when it comes back', async () => {
    await start({ rules: { '*': { replay: 'newest' } } });
    await served.feeds.publish('a', 'one');
    await served.feeds.publish('b', 'two');
    for (const path of ['/feeds/a', '/feeds?id=a&id=b']) {
      const peer = await followFeed(served, `${path}${path.includes('?') ? '&' : '?'}format=sse`);
      await until(() => /id: \w+-\d+\n\n$/.test(peer.body));
      const ids = [...peer.body.matchAll(/^id: (.*)$/gm)].map((match) => match[1] as string);
      const again = await followFeed(served, path, `Last-Event-ID: ${ids.at(-1)}`);
      await served.feeds.publish('a', 'next');
      await again.sees('next\n');
      expect(again.body).toMatch(/^(a\t)?next\n$/);
      // Each of the messages says which feed it is of.
      for (const id of ids.slice(0, -1)) expect(id).toMatch(/\/[ab]$/);
    }
  });

  it('of the rules for a feed the most particular counts, in whichever order they are', async () => {
    await start({ rules: { '*': {}, '42': { replay: 'newest' }, 'a*': {}, 'a/*': { replay: 'newest' }, '4*': {} } });
    for (const [feed, latest] of [
      ['42', 'kept'],
      ['43', ''],
      ['a/b', 'kept'],
      ['ab', ''],
    ] as const) {
      await served.feeds.publish(feed, 'kept');
      const peer = await followFeed(served, `/feeds/${encodeURIComponent(feed)}`);
      await served.feeds.publish(feed, 'live');
      await peer.sees('live\n');
      expect(peer.body).toBe(latest ? 'kept\nlive\n' : 'live\n');
    }
  });

  it('lets a slow follower of a conflated feed skip to the newest message, and goes on in order', async () => {
    await start({ rules: { fast: { conflate: true } }, historyLength: 0, bufferBytes: 1 << 20 });
    const peer = await follow('?id=fast&id=all');
    peer.socket.pause();
    const padding = 'x'.repeat(10_000);
    let published = 0;
    // Until the client's and the system's buffers are full, and then 100 more.
    for (let more = 100; more > 0; ) {
      published += 1;
      await publish('fast', { n: published, padding });
      if (served.feeds.count('fast').bufferedBytes > 0) more -= 1;
      await new Promise(setImmediate);
    }
    await publish('all', 'between');
    await publish('fast', { n: published + 1 });
    expect(served.feeds.counts()).toMatchObject({ open: 1, closed: { slow: 0 } });
    peer.socket.resume();
    await peer.sees(`"n":${published + 1}}`);
    const numbers = data(peer).map((each) => (typeof each === 'string' ? published + 0.5 : (each as { n: number }).n));
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    expect(numbers.slice(-2)).toEqual([published + 0.5, published + 1]);
    expect(numbers.length).toBeLessThan(published - 50);
    const offsets = peer.lines.map(({ id = '' }) => Number(/-(\d+)\//.exec(id)?.[1]));
    expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
  });
});
