import { Peer } from '../support/peer.js';
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

  it('a HEAD has the position where what a new follower gets begins', async () => {
    await start({ rules: { 'newest/*': { replay: 'newest' }, 'few/*': { replay: 2 }, 'all/*': { replay: 'all' } } });
    for (const feed of ['newest/a', 'few/a', 'all/a', 'none/a']) await publish(feed, 1, 2, 3);
    await served.feeds.finish('all/a');
    const seen = async (method: string, query: string) => {
      const answer = await fetch(`${served.url}/feeds${query}`, { method });
      await answer.body?.cancel();
      return [query, answer.status, answer.headers.get('feed-position'), answer.headers.get('feed-history')];
    };
    const queries = ['newest/a', 'newest/none', 'few/a', 'all/a', 'all/none', 'none/a'].flatMap((feed) => [
      `/${feed}`,
      `/${feed}?since=new`,
    ]);
    for (const query of [...queries, '?id=none/a&id=few/a', '?id=none/a&id=few/a&since=latest', '/few/a?since=earliest']) {
      expect(await seen('HEAD', query)).toEqual(await seen('GET', query));
    }
    const [, , position] = await seen('HEAD', '/few/a');
    const peer = await follow(`/few/a?since=${position}`);
    await peer.sees('"data":3');
    expect(data(peer).filter((value) => value !== undefined)).toEqual([2, 3]);
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

  it('gives a new follower all that is stored, or as many of the newest as the rule says, and then goes on', async () => {
    const rules = { 'all/*': { replay: 'all' }, 'all/none': { replay: 'none' }, 'few/*': { replay: 2 } } as const;
    await start({ rules, historyLength: 5 });
    for (const feed of ['all/a', 'all/none', 'few/a', 'few/b']) await publish(feed, 1, 2, 3, 4, 5, 6);
    const asked = ['/all/a', '/all/none', '/few/a', '?id=few/a&id=few/b&id=all/none', '/few/a?since=earliest'];
    const peers: Peer[] = [];
    for (const query of asked) peers.push(await follow(query));
    for (const feed of ['all/a', 'all/none', 'few/a', 'few/b']) await publish(feed, 'live');
    for (const peer of peers) await peer.sees('"live"');
    await peers[3]?.sees(/"few\/b".*"data":"live"/);
    expect(peers.slice(0, 3).map(data)).toEqual([[2, 3, 4, 5, 6, 'live'], ['live'], [5, 6, 'live']]);
    expect(data(peers[3] as Peer)).toEqual([5, 6, 5, 6, 'live', 'live', 'live']);
    expect(data(peers[4] as Peer)).toEqual([2, 3, 4, 5, 6, 'live']);
    expect(peers[0]?.head).toMatch(/feed-history: cut/i);
    // Each message tells its reader where it is.
    const again = await follow('?id=few/a&id=few/b', `Last-Event-ID: ${peers[3]?.lines[2]?.id}`);
    await again.sees('"live"');
    await again.sees(/"few\/b".*"data":"live"/);
    expect(data(again)).toEqual([6, 'live', 'live']);
  });

  it('sends a long replay in pages, in the order of all feeds, while others publish', async () => {
    await start({ rules: { '*': { replay: 'all', historyLength: 5000, historyBytes: 1e8 } }, bufferBytes: 4096 });
    const padding = 'x'.repeat(2000);
    const publishPair = (n: number) => Promise.all(['a', 'b'].map((feed) => served.feeds.publish(feed, { n, padding })));
    for (let n = 0; n < 300; n += 1) await publishPair(n);
    const peer = await Peer.get(served.port, '/feeds?id=a&id=b&format=ndjson');
    await peer.sees('"n":0');
    peer.socket.pause();
    for (let n = 300; n < 320; n += 1) {
      await publishPair(n);
      expect(served.feeds.counts().bufferedBytes).toBeLessThan(1_000_000);
    }
    peer.socket.resume();
    await until(() => peer.text.match(/"data":{"n":319,/g)?.length === 2);
    const seen = peer.lines.map(({ feed, data }) => `${feed}${(data as { n: number }).n}`);
    expect(seen).toHaveLength(640);
    expect(new Set(seen).size).toBe(640);
    const offsets = peer.lines.map(({ id = '' }) => Number(/-(\d+)\//.exec(id)?.[1]));
    expect(offsets).toEqual([...offsets].sort((one, other) => one - other));
  });

  it('stores of a feed what its rule says, and keeps its newest message for those who come later', async () => {
    await start({ rules: { few: { historyLength: 2 }, 'price/*': { keepNewest: true, historyTtlMs: 20, replay: 'newest' } } });
    await publish('few', 1, 2, 3);
    await publish('price/a', 1, 2);
    await publish('other', 1, 2, 3);
    await until(async () => {
      const peer = await follow('/price/a?since=earliest');
      await peer.sees('"data":2');
      return data(peer).length === 1;
    });
    const peers = [await follow('/few?since=earliest'), await follow('/price/a'), await follow('/other?since=earliest')];
    await publish('price/a', 3);
    await (peers[0] as Peer).sees('"data":3');
    await (peers[1] as Peer).sees('"data":3');
    await (peers[2] as Peer).sees('"data":3');
    expect(peers.map(data)).toEqual([
      [2, 3],
      [2, 3],
      [1, 2, 3],
    ]);
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
