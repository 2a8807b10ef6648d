import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Get, Req, Res } from '@nestjs/common';
import { concat, from, interval, map, NEVER, Subject } from 'rxjs';
import { MemoryBroker } from '../../src/feed/broker/memory/memory-broker.js';
import { leasesFeed } from '../../src/feed/cluster/leases.js';
import { type Broker, type BrokerContext, type ConnectOptions, type FeedConnection, FeedService, type History } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { closeAll, follow, type ModuleOptions, platforms, type Served, serveFeeds, until } from '../support/serve.js';

afterEach(closeAll);

/** The memory's broker, whose reads take place when a test lets them. */
function pausedReads() {
  const waiting: (() => void)[] = [];
  let isPaused = true;
  class PausedBroker extends MemoryBroker {
    override async read(...args: Parameters<Broker['read']>): Promise<History> {
      const history = await super.read(...args);
      if (isPaused && args[0] !== leasesFeed) await new Promise<void>((resolve) => waiting.push(resolve));
      return history;
    }
  }
  const broker = (bounds: BrokerContext) => new PausedBroker(bounds);
  const resume = () => {
    isPaused = false;
    for (const read of waiting.splice(0)) read();
  };
  return { broker, resume, next: () => waiting.shift()?.(), isReading: () => waiting.length > 0 };
}

describe.each(platforms)('the send queue on %s', (platform) => {
  let served: Served;
  const start = async (options: ModuleOptions, controllers: (new (...args: never[]) => unknown)[] = []) => {
    served = await serveFeeds(platform, options, { controllers });
  };
  const padding = 'x'.repeat(60_000);
  /** Publishes to a client that does not read, until bytes wait for it. */
  const clog = async (peer: Peer, feed: string) => {
    peer.socket.pause();
    while (served.feeds.count(feed).bufferedBytes === 0) {
      await served.feeds.publish(feed, padding);
      await new Promise(setImmediate);
    }
  };
  const linesOf = (peer: Peer) => peer.body.split('\n').filter((line) => line !== '' && line !== padding);

  it('sends the newest message of a conflated feed before a connection ends in good order', async () => {
    await start({ rules: { '*': { conflate: true } }, bufferBytes: 1 << 20 });
    const peer = await follow(served, '/feeds/a');
    await clog(peer, 'a');
    await served.feeds.publish('a', 'replaced');
    await served.feeds.publish('a', 'the newest');
    served.feeds.end('a');
    peer.socket.resume();
    await peer.closed();
    expect(linesOf(peer).at(-1)).toBe('the newest');
    expect(peer.isComplete).toBe(true);
  });

  it('lets the newest message of a conflated feed wait, whatever its size, and other messages behind it', async () => {
    await start({ rules: { fast: { conflate: true } }, bufferBytes: 100_000 });
    const peer = await follow(served, '/feeds?id=fast&id=calm&format=ndjson');
    await clog(peer, 'fast');
    await served.feeds.publish('fast', padding); // the transport is full, also where it takes 64 KiB
    await served.feeds.publish('fast', 'x'.repeat(200_000));
    await served.feeds.publish('calm', 'the end');
    peer.socket.resume();
    await peer.sees('the end');
    expect(peer.lines.slice(-2)).toMatchObject([{ feed: 'fast' }, { feed: 'calm' }]);
    expect(served.feeds.counts()).toMatchObject({ open: 1 });
  });

  it('sends all of the history before a connection ends that was ended while it was being read', async () => {
    const reads = pausedReads();
    await start({ broker: reads.broker });
    for (let n = 1; n <= 100; n += 1) await served.feeds.publish('a', `${n}`);
    const peer = await Peer.get(served.port, '/feeds/a?since=earliest');
    await until(reads.isReading);
    served.feeds.end('a');
    reads.resume();
    await peer.closed();
    expect(linesOf(peer)).toEqual(Array.from({ length: 100 }, (_, n) => `${n + 1}`));
    expect(peer.isComplete).toBe(true);
  });

  it('sends all of the history to a slow client before its connection ends', async () => {
    await start({ historyBytes: 1 << 26, historyLength: 1000 });
    for (let n = 1; n <= 200; n += 1) await served.feeds.publish('a', `${n} ${padding}`);
    const peer = await follow(served, '/feeds/a?since=earliest');
    peer.socket.pause();
    served.feeds.end('a');
    await new Promise(setImmediate);
    peer.socket.resume();
    await peer.closed();
    expect(linesOf(peer).map(Number.parseFloat)).toEqual(Array.from({ length: 200 }, (_, n) => n + 1));
    expect(peer.isComplete).toBe(true);
  });

  it('ends without its last chunk where the rest of the history cannot be read', async () => {
    let fails = false;
    class FailingBroker extends MemoryBroker {
      override async read(...args: Parameters<Broker['read']>): Promise<History> {
        if (fails) throw new Error('gone');
        return super.read(...args);
      }
    }
    await start({ historyBytes: 1 << 26, historyLength: 1000, broker: (bounds) => new FailingBroker(bounds) });
    for (let n = 1; n <= 200; n += 1) await served.feeds.publish('a', padding);
    const peer = await follow(served, '/feeds/a?since=earliest');
    fails = true;
    await peer.closed();
    expect(peer.isComplete).toBe(false);
    await until(() => served.feeds.counts().closed.error === 1);
  });

  it('does not cut a client that reads for what comes while its history is being read', async () => {
    const reads = pausedReads();
    await start({ broker: reads.broker, historyLength: 10_000, historyBytes: 1 << 24, bufferBytes: 4096 });
    await served.feeds.publish('a', 'before');
    const peer = await Peer.get(served.port, '/feeds/a?since=earliest');
    await until(reads.isReading);
    for (let n = 1; n <= 5000; n += 1) await served.feeds.publish('a', `${n}`);
    reads.resume();
    await peer.sees('\n5000\n');
    await served.feeds.publish('a', 'after');
    await peer.sees('\nafter\n');
    expect(linesOf(peer)).toEqual(['before', ...Array.from({ length: 5000 }, (_, n) => `${n + 1}`), 'after']);
    expect(served.feeds.counts()).toMatchObject({ open: 1, closed: { slow: 0 } });
  });

  it('says that messages are lost where history does not have what came while it was being read', async () => {
    const reads = pausedReads();
    await start({ broker: reads.broker, historyLength: 10, bufferBytes: 4096 });
    const peer = await Peer.get(served.port, '/feeds/a?format=ndjson');
    await until(reads.isReading);
    for (let n = 1; n <= 5000; n += 1) await served.feeds.publish('a', n);
    reads.resume();
    await peer.sees('"data":5000}');
    const messages = linesOf(peer).map((line) => JSON.parse(line) as { type?: string; data: unknown });
    const [first] = messages;
    expect(first).toMatchObject({ type: 'reset' });
    const numbers = messages.filter(({ type }) => type === undefined).map(({ data }) => data as number);
    expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, n) => 5000 - numbers.length + n + 1));
  });

  it('holds a page of history for each slow client, however many feeds it resumes', async () => {
    const bufferBytes = 65_536;
    await start({ bufferBytes, historyBytes: 1 << 26, historyTotalBytes: 1 << 30, stallMs: 0 });
    const feeds = Array.from({ length: 100 }, (_, n) => `f${n}`);
    for (let n = 0; n < 100; n += 1) await served.feeds.publishMany(feeds, `${n} ${'y'.repeat(1000)}`);
    const target = `/feeds?since=earliest&${feeds.map((feed) => `id=${feed}`).join('&')}`;
    const slow = await Promise.all(Array.from({ length: 5 }, () => Peer.get(served.port, target)));
    for (const { socket } of slow) socket.pause();
    await until(() => served.feeds.counts().open === 5 && served.feeds.counts().bufferedBytes > 0);
    for (let n = 0; n < 200; n += 1) {
      expect(served.feeds.counts().bufferedBytes).toBeLessThan(5 * 3 * bufferBytes);
      await new Promise(setImmediate);
    }
    expect(served.feeds.counts()).toMatchObject({ open: 5, closed: { slow: 0 } });
  });

  it('replays several feeds in the order of all, page by page', async () => {
    await start({ bufferBytes: 1024 });
    const feeds = ['a', 'b', 'c', 'd', 'e'];
    for (let n = 0; n < 100; n += 1) await served.feeds.publish(feeds[n % 5] as string, `${n} ${'y'.repeat(300)}`);
    const peer = await follow(served, `/feeds?since=earliest&${feeds.map((feed) => `id=${feed}`).join('&')}`);
    await peer.sees('\t99 ');
    const numbers = linesOf(peer).map((line) => Number.parseFloat(line.split('\t')[1] as string));
    expect(numbers).toEqual(Array.from({ length: 100 }, (_, n) => n));
  });

  /** A controller whose route `own` connects with these options; the connection is `opened`. */
  let opened: FeedConnection | undefined;
  const own = (options: () => ConnectOptions) => {
    opened = undefined;
    @Controller('own')
    class OwnController {
      constructor(private readonly feeds: FeedService) {}

      @Get()
      async follow(@Req() request: IncomingMessage, @Res() response: ServerResponse) {
        opened = await this.feeds.connect(request, response, options());
      }
    }
    return OwnController;
  };
  const connect = async (target: string) => {
    const peer = await Peer.get(served.port, target);
    await until(() => opened !== undefined);
    return { peer, connection: opened as FeedConnection };
  };
  const messagesOf = (peer: Peer) => linesOf(peer).map((line) => JSON.parse(line) as { id?: string; data: unknown });

  it('loses nothing that finds no room while what found none before is being read', async () => {
    const reads = pausedReads();
    await start({ broker: reads.broker, historyLength: 10_000, historyBytes: 1 << 24, bufferBytes: 4096 });
    const peer = await Peer.get(served.port, '/feeds/a');
    await until(reads.isReading);
    for (let n = 1; n <= 40; n += 1) await served.feeds.publish('a', `${n}`);
    reads.next();
    await until(reads.isReading);
    for (let n = 41; n <= 80; n += 1) await served.feeds.publish('a', `${n}`);
    reads.resume();
    await peer.sees('\n40\n');
    await served.feeds.publish('a', '81');
    await peer.sees('\n81\n');
    expect(linesOf(peer)).toEqual(Array.from({ length: 81 }, (_, n) => `${n + 1}`));
  });

  it('does not cut a client that reads its history, however much of it the transport holds', async () => {
    await start({ bufferBytes: 16_384, historyBytes: 1 << 26, historyLength: 10_000 });
    for (let n = 1; n <= 10_000; n += 1) await served.feeds.publish('a', `${n} ${'x'.repeat(1000)}`);
    const peer = await follow(served, '/feeds/a?since=earliest');
    for (let n = 10_001; n <= 10_300; n += 1) {
      await served.feeds.publish('a', `${n} live`);
      await new Promise(setImmediate);
    }
    await peer.sees('10300 live\n');
    expect(linesOf(peer).map(Number.parseFloat)).toEqual(Array.from({ length: 10_300 }, (_, n) => n + 1));
    expect(served.feeds.counts().closed).toMatchObject({ slow: 0 });
  });

  it('does not count what a source emits before the head against its client', async () => {
    const items = Array.from({ length: 500 }, (_, n) => `${n} ${padding}`);
    await start({}, [own(() => ({ feeds: ['own'], source: () => concat(from(items), interval(1).pipe(map((n) => `live ${n}`))) }))]);
    const { peer } = await connect('/own');
    await peer.sees('live 5\n');
    expect(served.feeds.counts().closed).toMatchObject({ slow: 0 });
  });

  it('sends many small items of a source', async () => {
    const items = Array.from({ length: 100_000 }, (_, n) => `${n}`);
    await start({}, [own(() => ({ feeds: ['own'], source: () => concat(from(items), NEVER) }))]);
    const { peer } = await connect('/own');
    await peer.sees('\n99999\n');
    expect(linesOf(peer)).toHaveLength(100_000);
  });

  it('keeps the order of positions where a connection follows a further feed while its history is being sent', async () => {
    await start({ historyBytes: 1 << 26, historyLength: 10_000 }, [own(() => ({ feeds: ['a'], resume: true }))]);
    for (let n = 1; n <= 200; n += 1) await served.feeds.publish('a', padding);
    const { peer, connection } = await connect('/own?since=earliest&format=ndjson');
    peer.socket.pause();
    await connection.follow('b');
    await served.feeds.publish('b', 'b1');
    for (let n = 1; n <= 5; n += 1) await served.feeds.publish('a', `live ${n}`);
    await served.feeds.publish('b', 'b2');
    peer.socket.resume();
    await peer.sees('"data":"b2"');
    const offsets = messagesOf(peer).flatMap(({ id }) => (id === undefined ? [] : [Number(/-(\d+)\//.exec(id)?.[1])]));
    expect(offsets).toEqual(Array.from({ length: 207 }, (_, n) => n + 1));
  });

  it('sends nothing that is published after a feed was unfollowed', async () => {
    await start({ historyBytes: 1 << 26, historyLength: 10_000 }, [own(() => ({ feeds: ['a'], resume: true }))]);
    for (let n = 1; n <= 200; n += 1) await served.feeds.publish('b', padding);
    const { peer, connection } = await connect('/own?format=ndjson');
    peer.socket.pause();
    await connection.follow('b', 'earliest');
    expect(connection.unfollow('b')).toBe(true);
    await served.feeds.publish('b', 'secret');
    await served.feeds.publish('a', 'the end');
    peer.socket.resume();
    await peer.sees('"data":"the end"');
    expect(peer.text).not.toContain('secret');
  });

  it('keeps an item of a source before the messages that came after it and found no room', async () => {
    const reads = pausedReads();
    const source = new Subject<string>();
    await start({ broker: reads.broker, historyLength: 10_000, bufferBytes: 4096 }, [own(() => ({ feeds: ['a'], source: () => source }))]);
    const { peer, connection } = await connect('/own');
    const followed = connection.follow('b');
    await until(reads.isReading);
    source.next('0');
    for (let n = 1; n <= 40; n += 1) await served.feeds.publish('a', `${n}`);
    source.next('41');
    reads.resume();
    await followed;
    await peer.sees('\n41\n');
    expect(linesOf(peer)).toEqual(Array.from({ length: 42 }, (_, n) => `${n}`));
  });

  it('passes on a reset of messages() as a reset', async () => {
    await start({}, [own(() => ({ feeds: ['own'], source: () => served.feeds.messages('a', { since: 'zzz-5' }) }))]);
    const { peer } = await connect('/own?format=sse');
    await peer.sees('"oldest"');
    expect(peer.body).toContain('event: reset');
  });

  it('pulls no more from an iterable for a full client whose connection follows further feeds', async () => {
    let pulled = 0;
    async function* endless() {
      for (;;) {
        pulled += 1;
        yield padding;
      }
    }
    await start({ bufferBytes: 1 << 24 }, [own(() => ({ feeds: ['own'], source: endless }))]);
    const { peer, connection } = await connect('/own');
    await peer.sees('x');
    peer.socket.pause();
    let before = 0;
    await until(async () => {
      const isStill = pulled === before;
      before = pulled;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return isStill;
    });
    for (let n = 0; n < 10; n += 1) await connection.follow(`f${n}`);
    await new Promise(setImmediate);
    expect(connection.feeds).toHaveLength(11);
    expect(pulled).toBe(before);
    await served.feeds.publish('f9', 'further');
    peer.socket.resume();
    await peer.sees('further\n');
  });
});
