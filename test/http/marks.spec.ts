import { Controller } from '@nestjs/common';
import { of } from 'rxjs';
import { Feed } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { closeAll, platforms, type Served, serveFeeds, until } from '../support/serve.js';

@Controller('own')
class OwnController {
  @Feed(':id')
  follow() {}

  @Feed('sourced/:id')
  sourced() {
    return of('item');
  }

  @Feed('failing/:id')
  async *failing() {
    yield 'item';
    throw new Error('secret');
  }
}

const anyPosition = { position: expect.stringMatching(/^\w+-\d+$/) };

describe.each(platforms)('lines about the connection itself on %s', (platform) => {
  let served: Served;
  beforeEach(async () => {
    const rules = { 'prices/*': { replay: 'newest' }, 'states/*': { snapshot: (feed: string) => `state of ${feed}` } } as const;
    served = await serveFeeds(platform, { rules, heartbeatMs: 20_000 }, { controllers: [OwnController] });
  });
  afterEach(closeAll);

  const get = (path: string) => Peer.get(served.port, `${path}${path.includes('?') ? '&' : '?'}format=ndjson&marks=1`);
  const linesOf = (peer: Peer) => peer.lines as unknown[];

  it.each(['/feeds/', '/own/'])(
    'come to a client that asks for them: where it begins, and the time between heartbeats, at %s',
    async (base) => {
      const feed = base === '/own/' ? 'own/a' : 'a';
      const [path, { feeds, port }] = [`${base}a`, served];
      const peers = await Promise.all(
        ['', '&marks=0', '&marks=1', '&marks=1'].map((marks) => Peer.get(port, `${path}?format=ndjson${marks}`)),
      );
      await until(() => feeds.subscribers(feed) === 4);
      const message = await feeds.publish(feed, 1);
      for (const peer of peers) await peer.sees('"data":1');
      const [none, zero, one, other] = peers.map(linesOf);
      expect([none, zero]).toEqual([[message], [message]]);
      const position = /\r\nfeed-position: (\S+)/i.exec(peers[2]?.head ?? '')?.[1];
      expect(one).toEqual([{ position, heartbeatMs: 20_000 }, { position }, message]);
      expect(other).toEqual(one);
      const resumed = await get(`${path}?since=${position}`);
      await resumed.sees(`{"position":"${message.id?.split('/')[0]}"}`);
      expect(linesOf(resumed)).toEqual([{ position, heartbeatMs: 20_000 }, message, { position: message.id?.split('/')[0] }]);
    },
  );

  it('tell the position behind the newest messages, and leave the other formats as they are', async () => {
    const message = await served.feeds.publish('prices/a', 1);
    const peer = await get('/feeds/prices/a');
    await peer.sees(/"position".*"position"/s);
    expect(linesOf(peer)).toEqual([{ ...anyPosition, heartbeatMs: 20_000 }, message, anyPosition]);
    const text = await Peer.get(served.port, '/feeds/prices/a?marks=1');
    await text.sees('1\n');
    expect(text.body).toBe('1\n');
  });

  it('have no position where there is a source alone', async () => {
    const peer = await get('/own/sourced/a');
    await peer.closed();
    expect(linesOf(peer)).toEqual([{ heartbeatMs: 20_000 }, { data: 'item' }]);
  });

  it('tell why a source has failed, apart from its messages', async () => {
    const peer = await get('/own/failing/a');
    await peer.closed();
    const error = { code: 'INTERNAL', message: 'The source has failed.' };
    expect(linesOf(peer)).toEqual([{ heartbeatMs: 20_000 }, { data: 'item' }, { error }]);
  });

  it('name the feeds that had ended before', async () => {
    await served.feeds.finish('a');
    const peer = await get(`/feeds?id=a&id=b&since=${await served.feeds.position('a')}`);
    await peer.sees('"ended"');
    expect(linesOf(peer)[0]).toEqual({ ...anyPosition, heartbeatMs: 20_000, ended: ['a'] });
  });

  it('tell when to come back, where the service shuts down', async () => {
    const peer = await get('/feeds/a');
    await peer.sees('"position"');
    await served.app.close();
    await peer.closed();
    expect(linesOf(peer).at(-1)).toEqual({ retry: expect.any(Number) });
  });
});

describe.each(platforms)('a beginning for each of several feeds on %s', (platform) => {
  let served: Served;
  beforeEach(async () => {
    const rules = { 'prices/*': { replay: 'newest' }, 'states/*': { snapshot: (feed: string) => `state of ${feed}` } } as const;
    served = await serveFeeds(platform, { rules, historyLength: 3 });
  });
  afterEach(closeAll);

  /** Publishes one after the other; the positions behind them. */
  const publish = async (feed: string, ...all: unknown[]) => {
    const positions = [];
    for (const each of all) positions.push((await served.feeds.publish(feed, each)).id?.split('/')[0] as string);
    return positions;
  };
  const follow = async (ids: string[], ...since: string[]) => {
    const query = [...ids.map((id) => `id=${id}`), ...since.map((start) => `since=${encodeURIComponent(start)}`)];
    return Peer.get(served.port, `/feeds?${query.join('&')}&format=ndjson`);
  };
  const seen = (peer: Peer) => peer.lines.map(({ feed, type, data }) => [feed, type ?? data]);

  it('takes each from its own, in the order of their messages, and goes on with all', async () => {
    const [first] = await publish('a', 1, 2);
    await publish('b', 'x', 'y', 'z');
    await publish('prices/c', 10, 11);
    await publish('d', 'old');
    const peer = await follow(['a', 'b', 'prices/c', 'd', 'states/e'], first as string, '-2/b', 'new/prices/c', 'latest/d', 'new/states/e');
    await peer.sees('"data":11');
    await publish('d', 'live');
    await peer.sees('live');
    expect(seen(peer)).toEqual([
      ['states/e', 'snapshot'],
      ['a', 2],
      ['b', 'y'],
      ['b', 'z'],
      ['prices/c', 11],
      ['d', 'live'],
    ]);
  });

  it('tells of losses those feeds that have them', async () => {
    const [first] = await publish('a', 1, 2, 3, 4, 5);
    const [, second] = await publish('b', 1, 2, 3);
    const peer = await follow(['a', 'b'], first as string, `${second}/b`);
    await peer.sees('"feed":"b","time"');
    expect(seen(peer)).toEqual([
      ['a', 'reset'],
      ['a', 3],
      ['a', 4],
      ['a', 5],
      ['b', 3],
    ]);
  });

  it('is understood by history and polls as well', async () => {
    const [first] = await publish('a', 1, 2);
    await publish('b', 'x', 'y', 'z');
    for (const mode of ['once', 'poll']) {
      const answer = await fetch(`${served.url}/feeds?id=a&id=b&since=${first}&since=-1/b&mode=${mode}`);
      expect(((await answer.json()) as { messages: { data: unknown }[] }).messages.map(({ data }) => data)).toEqual([2, 'z']);
    }
  });

  it('stands for all where it is one, as an id of a message does', async () => {
    const [first] = await publish('a', 1, 2);
    const peer = await follow(['a', 'b'], `${first}/a`);
    await publish('b', 3);
    await peer.sees('"data":3');
    expect(seen(peer)).toEqual([
      ['a', 2],
      ['b', 3],
    ]);
    const newcomer = await follow(['prices/c'], 'new');
    await publish('prices/c', 4);
    await newcomer.sees('"data":4');
    expect(seen(newcomer)).toEqual([['prices/c', 4]]);
  });

  it.each([
    [['latest', 'earliest'], 'since says twice where to begin on all feeds.'],
    [['latest/a', 'latest/a'], 'since says twice where to begin on the feed "a".'],
    [['latest', 'latest/c'], 'since names the feed "c", which is not among those asked for.'],
    [['latest', 'nowhere/b'], expect.stringMatching(/^since must be a message id/)],
  ])('rejects %j', async (since, message) => {
    const query = since.map((start) => `since=${start}`).join('&');
    for (const mode of ['', '&mode=once', '&mode=poll']) {
      const answer = await fetch(`${served.url}/feeds?id=a&id=b&${query}${mode}`);
      expect(await answer.json()).toMatchObject({ statusCode: 400, code: 'FEED_SINCE', message });
    }
  });
});
