import { once } from 'node:events';
import { NotFoundException } from '@nestjs/common';
import { concat, NEVER, Observable, of, Subject } from 'rxjs';
import { type FeedSource } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { closeAll, feedModule, follow, platforms, type Served, serve, serveFeeds } from '../support/serve.js';
import { until } from '../support/until.js';

describe.each(platforms)('a source that many connections share on %s', (platform) => {
  it('has each message encoded once for each format', async () => {
    const prices = new Subject<object>();
    const served = await serve(platform, { imports: [feedModule({ source: () => prices })] });
    const formats = ['text', 'sse', 'ndjson'];
    const peers = await Promise.all(Array.from({ length: 60 }, (_, n) => Peer.get(served.port, `/feeds/${n}?format=${formats[n % 3]}`)));
    await Promise.all(peers.map((peer) => peer.sees('\r\n\r\n')));
    let encoded = 0;
    const price = {
      value: 0,
      toJSON() {
        encoded += 1;
        return { value: this.value };
      },
    };
    for (price.value = 1; price.value <= 10; price.value += 1) prices.next(price);
    prices.next({ value: 'ünïcode' });
    await Promise.all(peers.map((peer) => peer.sees(/ode"}/)));
    expect(encoded).toBe(10 * formats.length);
    const values = [...Array.from({ length: 10 }, (_, n) => n + 1), 'ünïcode'];
    for (const [n, peer] of peers.entries()) {
      const body = Buffer.from(peer.body, 'latin1').toString();
      const expected = {
        text: values.map((value) => `${JSON.stringify({ value })}\n`),
        sse: values.map((value) => `data: ${JSON.stringify({ value })}\n\n`),
        ndjson: values.map((value) => `${JSON.stringify({ data: { value } })}\n`),
      }[formats[n % 3] as 'text'];
      expect(body.replace(/^: connection \S+\n\nid: \w+-0\n\n/, '')).toBe(expected.join(''));
    }
    await served.app.close();
  });
});

describe.each(platforms)('the default source on %s', (platform) => {
  it('greets at once, then counts from 1 for each connection', async () => {
    const served = await serve(platform, { imports: [feedModule({ intervalMs: 20 })] });
    const first = await Peer.get(served.port, '/feeds/42');
    await first.sees('Chunk 3');
    const second = await Peer.get(served.port, '/feeds/43');
    await second.sees('Chunk 2 for id /feeds/43\n');
    expect(first.body).toMatch(
      /^Nestconntest welcomes you! Your Id: \/feeds\/42\nChunk 1 for id \/feeds\/42\nChunk 2 for id \/feeds\/42\nChunk 3 /,
    );
    expect(second.body).toMatch(/^Nestconntest welcomes you! Your Id: \/feeds\/43\nChunk 1 for id \/feeds\/43\nChunk 2 /);
    await served.app.close();
    await first.closed();
    expect(first.isComplete).toBe(true);
    expect(served.feeds.counts().closed.drained).toBe(2);
  });
});

describe.each(platforms)("an application's source on %s", (platform) => {
  let served: Served;
  const start = async (source: FeedSource) => {
    served = await serveFeeds(platform, { source });
  };
  afterEach(closeAll);

  it('Last-Event-ID is left to a source, which may give ids of its own', async () => {
    await start(() => concat(of({ id: '18', data: 'own' }), NEVER));
    const peer = await follow(served, '/feeds/a?format=ndjson', 'Last-Event-ID: 17');
    await peer.sees('own');
    expect(peer.body).toBe('{"id":"18","data":"own"}\n');
  });

  it('a source that fails before its first message makes an ordinary error response', async () => {
    await start(async () => Promise.reject(new NotFoundException('no such thing')) as never);
    await served.feeds.publish('a', 'kept');
    for (const path of ['/feeds/a', '/feeds/a?since=earliest']) expect((await fetch(served.url + path)).status).toBe(404);
    expect(served.feeds.counts()).toMatchObject({ open: 0, feeds: 0 });
  });

  it('a source is told by its signal that its connection has ended', async () => {
    let told = false;
    await start(({ signal }) => {
      signal.addEventListener('abort', () => {
        told = true;
      });
      return of('first');
    });
    const peer = await follow(served, '/feeds/a');
    await peer.closed();
    expect(peer.body).toBe('first\n');
    expect(told).toBe(true);
  });

  it("a generator that waits for its source's signal goes on the moment its client leaves", async () => {
    const reasons: string[] = [];
    await start(async function* ({ signal }) {
      yield 'waits';
      await once(signal, 'abort');
      reasons.push(signal.reason.name);
    });
    const peer = await follow(served, '/feeds/a');
    await peer.sees('waits');
    expect(reasons).toEqual([]);
    peer.leave();
    await until(() => reasons.length === 1);
    expect(reasons).toEqual(['AbortError']);
    await until(() => served.feeds.counts().closed.client === 1);
  });

  it("sends a source's retry and comment in event streams alone", async () => {
    await start(() => of({ data: 'x', retry: 7, comment: 'a\nb' }, { data: '', comment: 'c' }));
    const read = async (format: string) => (await fetch(`${served.url}/feeds/a?format=${format}`)).text();
    expect(await read('sse')).toMatch(/^: connection \S+\n\nid: \S+\n\n: a\n: b\nretry: 7\ndata: x\n\n: c\ndata: \n\n$/);
    expect(await read('text')).toBe('x\n\n');
    expect(await read('ndjson')).toBe('{"data":"x"}\n{"data":""}\n');
  });

  it('a source whose teardown throws ends its own connection alone', async () => {
    const source = () =>
      new Observable<string>(() => () => {
        throw new Error('clean-up');
      });
    await start(source);
    const [one, other] = [await follow(served, '/feeds/a'), await follow(served, '/feeds/b')];
    served.feeds.end('a');
    await one.closed();
    expect(one.isComplete).toBe(true);
    await served.feeds.publish('b', 'still here');
    await other.sees('still here');
    other.leave();
    await until(() => served.feeds.counts().open === 0);
    expect(served.feeds.counts().closed).toMatchObject({ completed: 1, client: 1 });
  });
});
