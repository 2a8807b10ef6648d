import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Get, Req, Res } from '@nestjs/common';
import { MemoryBroker } from '../../src/feed/broker/memory/memory-broker.js';
import { type Broker, type FeedConnection, FeedService } from '../../src/index.js';
import { Peer } from '../support/peer.js';
import { closeAll, follow, type ModuleOptions, platforms, type Served, serveFeeds, until } from '../support/serve.js';

afterEach(closeAll);

/** The memory's broker, whose reads take place when a test lets them. */
function pausedReads() {
  const waiting: (() => void)[] = [];
  let isPaused = true;
  const broker: ModuleOptions['broker'] = (bounds) => {
    const memory = new MemoryBroker(bounds);
    return new Proxy<Broker>(memory, {
      get(target, name) {
        if (name === 'read') {
          return async (...args: Parameters<Broker['read']>) => {
            const history = await target.read(...args);
            if (isPaused) await new Promise<void>((resolve) => waiting.push(resolve));
            return history;
          };
        }
        const value = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  };
  const resume = () => {
    isPaused = false;
    for (const read of waiting.splice(0)) read();
  };
  return { broker, resume, isReading: () => waiting.length > 0 };
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
    expect(linesOf(peer)).toEqual(['the newest']);
    expect(peer.isComplete).toBe(true);
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
    await start({
      historyBytes: 1 << 26,
      historyLength: 1000,
      broker: (bounds) =>
        new Proxy(new MemoryBroker(bounds), {
          get(target, name) {
            if (name === 'read' && fails) return () => Promise.reject(new Error('gone'));
            const value = Reflect.get(target, name);
            return typeof value === 'function' ? value.bind(target) : value;
          },
        }),
    });
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

  it('pulls no more from an iterable for a full client whose connection follows further feeds', async () => {
    let pulled = 0;
    let connection: FeedConnection | undefined;
    async function* endless() {
      for (;;) {
        pulled += 1;
        yield padding;
      }
    }
    @Controller('own')
    class OwnController {
      constructor(private readonly feeds: FeedService) {}

      @Get()
      async follow(@Req() request: IncomingMessage, @Res() response: ServerResponse) {
        connection = await this.feeds.connect(request, response, { feeds: ['own'], source: endless });
      }
    }
    await start({ bufferBytes: 1 << 24 }, [OwnController]);
    const peer = await Peer.get(served.port, '/own');
    await peer.sees('x');
    peer.socket.pause();
    let before = 0;
    await until(async () => {
      const isStill = pulled === before;
      before = pulled;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return isStill;
    });
    for (let n = 0; n < 10; n += 1) await connection?.follow(`f${n}`);
    await new Promise(setImmediate);
    expect(connection?.feeds).toHaveLength(11);
    expect(pulled).toBe(before);
    await served.feeds.publish('f9', 'further');
    peer.socket.resume();
    await peer.sees('further\n');
  });
});
