import { once } from 'node:events';
import { EventSource } from 'eventsource';
import fc from 'fast-check';
import { type Line, Peer } from '../support/peer.js';
import { closeAll, follow as followFeed, type ModuleOptions, platforms, type Served, serveFeeds, until } from '../support/serve.js';

const data = (peer: Peer) => peer.lines.map((line) => line.data);

describe.each(platforms)('resuming on %s', (platform) => {
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

  it('goes on behind the message that the client had last', async () => {
    await start();
    const second = await publish('a', 1, 2);
    await publish('a', 3, 4);
    await publish('b', 'other');
    const [header, query, both] = [
      await follow('/a', `Last-Event-ID: ${second}`),
      await follow(`/a?since=${second}`),
      await follow('/a?since=earliest', `Last-Event-ID: ${second}`),
    ];
    const [all, none, live] = [await follow('/a?since=earliest'), await follow('/a?since=latest'), await follow('/a')];
    const last = await publish('a', 5);
    for (const peer of [header, query, both, all, none, live]) await peer.sees('"data":5');
    for (const peer of [header, query, both]) expect(data(peer)).toEqual([3, 4, 5]);
    expect(data(all)).toEqual([1, 2, 3, 4, 5]);
    for (const peer of [none, live]) expect(data(peer)).toEqual([5]);
    expect(all.lines.at(-1)).toEqual({ id: last, feed: 'a', time: expect.any(Number), data: 5 });
  });

  it('goes on from the position in the head, when no message has come yet', async () => {
    await start();
    await publish('a', 1);
    const peer = await follow('/a');
    await peer.sees('\r\n\r\n');
    const position = /\r\nfeed-position: (\S+)/i.exec(peer.head)?.[1];
    peer.leave();
    await publish('a', 2);
    const again = await follow(`/a?since=${position}`);
    await again.sees('"data":2');
    expect(data(again)).toEqual([2]);
  });

  it('tells a client whose position is gone, and gives it what there is', async () => {
    await start({ historyLength: 2 });
    const first = await publish('a', 1);
    await publish('b', 1);
    await publish('a', 2, 3, 4);
    const known = ['x-1', 'nonsense', first, first.replace(/-\d+/, '-999')];
    for (const id of known) {
      const peer = await follow('/a', `Last-Event-ID: ${id}`);
      await peer.sees('"data":4');
      const [reset, ...messages] = peer.lines as [Line, ...Line[]];
      expect(reset).toEqual({ id: first.replace(/-.*/, '-3'), feed: 'a', type: 'reset', data: { feed: 'a', oldest: messages[0]?.id } });
      expect(messages.map((message) => message.data)).toEqual([3, 4]);
      // One reset is enough: its own id is a position to come back with.
      const again = await follow('/a', `Last-Event-ID: ${reset.id}`);
      await again.sees('"data":4');
      expect(data(again)).toEqual([3, 4]);
    }
    const never = await follow('/never', 'Last-Event-ID: x-1');
    await never.sees('reset');
    expect(never.lines[0]?.data).toEqual({ feed: 'never', oldest: null });
  });

  it('tells a client that asks for everything whether that is all', async () => {
    await start({ historyLength: 2 });
    const headOf = async (query: string) => (await fetch(`${served.url}/feeds${query}`, { method: 'GET' })).headers.get('feed-history');
    await publish('a', 1, 2);
    await publish('b', 1, 2, 3);
    expect(await Promise.all(['/a', '/b', '/never'].map((path) => headOf(`${path}?since=earliest`)))).toEqual([null, 'cut', null]);
    expect(await Promise.all(['?id=a&id=b&since=earliest', '?id=a&id=never&since=earliest'].map(headOf))).toEqual(['cut', null]);
    expect(await Promise.all(['/b?since=latest', '/b', '?id=b&since=x-1'].map(headOf))).toEqual([null, null, null]);
    const peer = await follow('/b?since=earliest');
    await peer.sees('"data":3');
    expect(peer.lines.map((line) => line.type ?? line.data)).toEqual([2, 3]);
  });

  it('refuses inside the process what it refuses over HTTP', async () => {
    await start();
    for (const since of ['junk', '', '1', 'newest', 'end', 'a-1-b/']) {
      expect(() => served.feeds.messages('a', { since })).toThrow(expect.objectContaining({ code: 'FEED_SINCE' }));
    }
  });

  it('tells only of the feed that has lost something', async () => {
    await start({ historyLength: 2 });
    const first = await publish('a', 'a1');
    await publish('b', 'b1');
    await publish('a', 'a2', 'a3', 'a4');
    const peer = await follow('?id=a&id=b', `Last-Event-ID: ${first}`);
    await peer.sees('a4');
    expect(peer.lines.map((line) => line.type ?? line.data)).toEqual(['reset', 'b1', 'a3', 'a4']);
    expect(peer.lines[0]?.data).toMatchObject({ feed: 'a' });
  });

  it.each(['', 'x', 'x y', '1', '-0', 'a-1-b/', 'a--1', 'a-1.5', `${'a'.repeat(33)}-1`, 'earliest%20'])(
    'refuses since=%j',
    async (since) => {
      await start();
      const answer = await fetch(`${served.url}/feeds/a?since=${since}`);
      expect(answer.status).toBe(400);
      expect(await answer.json()).toMatchObject({ code: 'FEED_SINCE', message: expect.stringMatching(/earliest or latest/) });
    },
  );

  it('follows up to 100 feeds at once, each once', async () => {
    await start();
    const ids = Array.from({ length: 100 }, (_, n) => `id=f${n}`).join('&');
    const peer = await follow(`?${ids}&id=f0`);
    expect(served.feeds.counts()).toMatchObject({ open: 1, feeds: 100 });
    await publish('f0', 'first');
    await publish('f99', 'last');
    await peer.sees('last');
    expect(data(peer)).toEqual(['first', 'last']);
    peer.leave();
    await until(() => served.feeds.counts().feeds === 0);
    expect((await fetch(`${served.url}/feeds?${ids}&id=f100`)).status).toBe(400);
    expect((await fetch(`${served.url}/feeds?id=`)).status).toBe(400);
  });

  it('says in text which of several feeds a line is of', async () => {
    await start();
    const peer = await Peer.get(served.port, '/feeds?id=a&id=b/c');
    await until(() => served.feeds.counts().open === 1);
    await publish('a', 'one');
    await publish('b/c', { two: 2 });
    await peer.sees('}\n');
    expect(peer.body).toBe('a\tone\nb/c\t{"two":2}\n');
  });

  it('gives each client exactly what was published on its feeds, whenever it is cut off', async () => {
    await start({ historyLength: 1000 });
    const feedNames = ['a', 'b', 'c'];
    type Step = { publish: number } | { cut: number };
    const step: fc.Arbitrary<Step> = fc.oneof(
      { weight: 4, arbitrary: fc.record({ publish: fc.nat(2) }) },
      { weight: 1, arbitrary: fc.record({ cut: fc.nat(2) }) },
    );
    const clients = [['a'], ['a', 'b'], ['c', 'b', 'a']];
    let round = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        round += 1;
        const name = (feed: string) => `r${round}/${feed}`;
        const readers = clients.map((feeds) => new Reader(served.port, feeds.map(name)));
        for (const reader of readers) await reader.open();
        const published: [string, number][] = [];
        for (const each of steps) {
          if ('cut' in each) {
            // At any moment: between two messages, in the middle of one, before its first.
            readers[each.cut]?.cut();
            await readers[each.cut]?.open();
            continue;
          }
          const feed = name(feedNames[each.publish] as string);
          published.push([feed, published.length]);
          void served.feeds.publish(feed, published.length - 1);
          if (published.length % 3 === 0) await new Promise(setImmediate);
        }
        for (const feed of feedNames.map(name)) await served.feeds.publish(feed, 'end');
        for (const [n, reader] of readers.entries()) {
          const own = (clients[n] as string[]).map(name);
          await until(() => reader.lines.filter((line) => line.data === 'end').length === own.length);
          const got = reader.lines.filter((line) => line.data !== 'end').map((line) => [line.feed, line.data]);
          expect(got).toEqual(published.filter(([feed]) => own.includes(feed)));
          reader.cut();
        }
      }),
      { numRuns: 40 },
    );
  });

  it('resumes a real EventSource, in order, without gap and without repetition', async () => {
    await start({ historyLength: 1000 });
    const source = new EventSource(`${served.url}/feeds?id=a&id=b`);
    const got: string[] = [];
    const feeds = new Set<string>();
    source.onmessage = ({ data: each, lastEventId }) => {
      got.push(each);
      feeds.add(lastEventId.slice(lastEventId.indexOf('/') + 1));
    };
    source.addEventListener('reset', () => got.push('reset'));
    await once(source as never, 'open');
    let n = 0;
    const next = (feed: string) => {
      n += 1;
      return publish(feed, `${n}`);
    };
    for (let cut = 0; cut < 3; cut += 1) {
      for (const feed of ['a', 'b', 'a']) await next(feed);
      // Before the first message of the first connection has gone out, too.
      served.feeds.end();
      for (const feed of ['b', 'a']) await next(feed);
      const { opened } = served.feeds.counts();
      await until(() => served.feeds.counts().opened > opened);
    }
    await until(() => got.length === n);
    source.close();
    expect(got).toEqual(Array.from({ length: n }, (_, index) => `${index + 1}`));
    expect([...feeds].sort()).toEqual(['a', 'b']);
  });
});

/** A client as a careful program would be: keeps its position, comes back with it. */
class Reader {
  private readonly before: Line[] = [];
  private position: string | undefined;
  private peer: Peer | undefined;

  constructor(
    private readonly port: number,
    private readonly feeds: string[],
  ) {}

  get lines(): Line[] {
    return [...this.before, ...(this.peer?.lines ?? [])];
  }

  async open(): Promise<void> {
    const path = `/feeds?format=ndjson&${this.feeds.map((feed) => `id=${feed}`).join('&')}`;
    this.peer = await Peer.get(this.port, path, ...(this.position ? [`Last-Event-ID: ${this.position}`] : []));
    await this.peer.sees('\r\n\r\n');
    this.position ??= /\r\nfeed-position: (\S+)/i.exec(this.peer.head)?.[1];
  }

  cut(): void {
    this.peer?.leave();
    this.before.splice(0, Number.POSITIVE_INFINITY, ...this.lines);
    this.peer = undefined;
    this.position = this.before.at(-1)?.id ?? this.position;
  }
}
