import { ConflictException } from '@nestjs/common';
import { firstValueFrom, take, toArray } from 'rxjs';
import { Peer } from '../support/peer.js';
import { closeAll, follow as followFeed, type ModuleOptions, platforms, type Served, serveFeeds, until } from '../support/serve.js';

/** What a feed's snapshots are made of: each waits until it is let go. */
class State {
  readonly asked: { feed: string; answer(data: unknown): void; fail(error: unknown): void }[] = [];

  readonly snapshot = (feed: string) =>
    new Promise<unknown>((answer, fail) => {
      this.asked.push({ feed, answer, fail });
    });
}

describe.each(platforms)('snapshots on %s', (platform) => {
  let served: Served;
  let state: State;
  const start = async (options: ModuleOptions = {}) => {
    state = new State();
    served = await serveFeeds(platform, { rules: { 'rows/*': { snapshot: state.snapshot } }, ...options });
  };
  const ask = (path: string, ...headers: string[]) => Peer.get(served.port, `/feeds${path}`, ...headers);
  const subscribers = (feed: string, count: number) => until(() => served.feeds.subscribers(feed) === count);
  const said = (peer: Peer) => peer.lines.map(({ type, data }) => (type === undefined ? data : { [type]: data }));
  afterEach(closeAll);

  it('come first, and then what is published from the subscription on, without a gap', async () => {
    await start();
    await served.feeds.publish('rows/1', 'before');
    const peer = await ask('/rows/1?format=ndjson');
    const events = await ask('/rows/1?format=sse');
    await until(() => state.asked.length > 0);
    await subscribers('rows/1', 2);
    const { id } = await served.feeds.publish('rows/1', 'meanwhile');
    while (peer.lines.length < 2 || !events.body.includes('meanwhile')) {
      state.asked.shift()?.answer({ rows: [1, 2] });
      await new Promise(setImmediate);
    }
    await served.feeds.publish('rows/1', 'live');
    await peer.sees('"live"');
    expect(said(peer)).toEqual([{ snapshot: { rows: [1, 2] } }, 'meanwhile', 'live']);
    expect(peer.lines[0]).toEqual({ feed: 'rows/1', type: 'snapshot', data: { rows: [1, 2] } });
    // Its position is where it subscribed: it says so in an event of its own.
    await events.sees('data: live');
    expect(events.body).toMatch(/event: snapshot\ndata: {"rows":\[1,2\]}\n\n(id: \w+-1\n\n)?id: .*\ndata: meanwhile/);
    const back = await ask('/rows/1?format=ndjson', `Last-Event-ID: ${id}`);
    await back.sees('"live"');
    expect(said(back)).toEqual(['live']);
    const earliest = await ask('/rows/1?format=ndjson&since=earliest');
    await earliest.sees('"live"');
    expect(said(earliest)).toEqual(['before', 'meanwhile', 'live']);
    expect(state.asked).toHaveLength(0);
  });

  it('are asked for once, however many wait for them, and again for those who come while one is made', async () => {
    await start();
    const first = await ask('/rows/1?format=ndjson');
    await until(() => state.asked.length === 1);
    const crowd = await Promise.all(Array.from({ length: 50 }, () => ask('/rows/1?format=ndjson')));
    const another = await ask('?id=rows/1&id=rows/2&format=ndjson');
    await subscribers('rows/1', 52);
    await until(() => state.asked.length === 2);
    expect(state.asked.map(({ feed }) => feed)).toEqual(['rows/1', 'rows/2']);
    state.asked[0]?.answer('one');
    state.asked[1]?.answer('of the other');
    await first.sees('"one"');
    await until(() => state.asked.length === 3);
    state.asked[2]?.answer('two');
    for (const peer of crowd) await peer.sees('"two"');
    await another.sees('"of the other"');
    expect(state.asked).toHaveLength(3);
    expect(crowd.map(said)).toEqual(crowd.map(() => [{ snapshot: 'two' }]));
    expect(said(another)).toEqual([{ snapshot: 'two' }, { snapshot: 'of the other' }]);
    expect(said(first)).toEqual([{ snapshot: 'one' }]);
  });

  it('that fail are the answer, before the head: what an HttpException says, else 503', async () => {
    await start();
    const answers = ['1', '2'].map((feed) => fetch(`${served.url}/feeds/rows/${feed}`));
    await until(() => state.asked.length === 2);
    for (const { feed, fail } of state.asked)
      fail(feed === 'rows/1' ? new Error('the database has secrets') : new ConflictException('Not yet.'));
    const [unavailable, conflict] = (await Promise.all(answers)) as [Response, Response];
    expect(unavailable.status).toBe(503);
    expect(unavailable.headers.get('retry-after')).toBe('5');
    expect(await unavailable.json()).toMatchObject({
      code: 'FEED_UNAVAILABLE',
      message: 'The snapshot of the feed "rows/1" is not available.',
    });
    expect(conflict.status).toBe(409);
    expect(await conflict.json()).toMatchObject({ message: 'Not yet.' });
    expect(served.feeds.counts()).toMatchObject({ open: 0, feeds: 0 });
    // Each asks again.
    const peer = await ask('/rows/1?format=ndjson');
    await until(() => state.asked.length === 3);
    state.asked[2]?.answer('better');
    await peer.sees('"better"');
    // What no format can express is the application's failure, not the client's.
    const bad = fetch(`${served.url}/feeds/rows/3`);
    await until(() => state.asked.length === 4);
    state.asked[3]?.answer('a\rb');
    expect((await bad).status).toBe(503);
  });

  it('are serialised as what is published, and go to the application and to connections that come to follow the feed', async () => {
    await start({ serialize: (data) => ({ wrapped: data }) });
    const messages = firstValueFrom(served.feeds.messages('rows/1').pipe(take(2), toArray()));
    await until(() => state.asked.length === 1);
    state.asked[0]?.answer(1);
    await subscribers('rows/1', 1);
    await served.feeds.publish('rows/1', 2);
    expect((await messages).map(({ type, data }) => [type, data])).toEqual([
      ['snapshot', { wrapped: 1 }],
      [undefined, { wrapped: 2 }],
    ]);
    const peer = await followFeed(served, '/feeds/plain?format=ndjson');
    expect((await fetch(`${served.url}/feeds/rows/1`, { method: 'HEAD' })).status).toBe(200);
    expect(state.asked).toHaveLength(1);
    await served.feeds.finish('rows/2');
    const ended = await ask('/rows/2?format=ndjson');
    await until(() => state.asked.length === 2);
    state.asked[1]?.answer(3);
    await ended.closed();
    expect(said(ended)).toEqual([{ snapshot: { wrapped: 3 } }, { end: { reason: 'completed' } }]);
    peer.leave();
  });
});
