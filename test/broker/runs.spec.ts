import { setTimeout as sleep } from 'node:timers/promises';
import { ForbiddenException } from '@nestjs/common';
import { interval, map, Observable, type ObservableInput, Subject, take, throwError } from 'rxjs';
import type { Broker, BrokerFactory } from '../../src/feed/broker/broker.js';
import { MemoryBroker } from '../../src/feed/broker/memory/memory-broker.js';
import { natsBroker } from '../../src/feed/broker/nats/index.js';
import { redisBroker } from '../../src/feed/broker/redis/index.js';
import type { Producer } from '../../src/index.js';
import { describeBrokers, engineOf } from '../support/brokers.js';
import { closeAll, type ModuleOptions, type Served, serveFeeds, until } from '../support/serve.js';

describeBrokers('runs:', (kind) => {
  if (kind.client !== undefined) return;
  let broker: 'memory' | BrokerFactory;
  beforeEach(async () => {
    const engine = await engineOf(kind);
    const url = `${kind.name}://127.0.0.1:${engine?.port}`;
    broker = kind.name === 'memory' ? 'memory' : kind.name === 'redis' ? redisBroker(url) : natsBroker(url);
  });
  afterEach(closeAll);

  const node = (options: ModuleOptions = {}) => serveFeeds('express', { broker, historyLength: 5000, ...options });
  /** Two nodes, or the same one twice where the broker is a process's own. */
  const nodes = async () => {
    const one = await node();
    return [one, kind.name === 'memory' ? one : await node()] as [Served, Served];
  };
  const tokens = (count: number) => Array.from({ length: count }, (_, n) => `token ${n} `);
  const bodyOf = async ({ url }: Served, feed: string, query = 'since=earliest&format=ndjson') => {
    const text = await (await fetch(`${url}/feeds/${feed}?${query}`)).text();
    return text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { type?: string; data: unknown });
  };

  it('a producer runs once over all nodes, and its messages come in order, and then the end', async () => {
    const [one, other] = await nodes();
    let calls = 0;
    const produce = async function* () {
      calls += 1;
      for (const token of tokens(200)) yield token;
    };
    const runs = await Promise.all([one, other, one, other].map(({ feeds }) => feeds.run('answers/1', produce, { type: 'token' })));
    expect(runs.map(({ state }) => state).sort()).toEqual(['joined', 'joined', 'joined', 'started']);
    for (const run of runs) expect(await run.whenEnded()).toEqual({ reason: 'completed' });
    expect(calls).toBe(1);
    const lines = await bodyOf(other, 'answers/1');
    expect(lines.map(({ type }) => type)).toEqual([...Array(200).fill('token'), 'end']);
    expect(lines.slice(0, -1).map(({ data }) => data)).toEqual(tokens(200));
    // What has ended is not run again, until it is cleared.
    const again = await other.feeds.run('answers/1', produce);
    expect(again.state).toBe('ended');
    expect(await again.whenEnded()).toEqual({ reason: 'completed' });
    await one.feeds.clear('answers/1');
    expect((await other.feeds.run('answers/1', produce)).state).toBe('started');
    expect(calls).toBe(2);
  });

  it('any node stops a run: its signal is aborted, also where the producer waits', async () => {
    const [one, other] = await nodes();
    let aborted = '';
    const ended: string[] = [];
    const run = await one.feeds.run('stopped', async function* (signal) {
      signal.addEventListener('abort', () => {
        aborted = (signal.reason as Error).name;
      });
      try {
        yield 'first';
        await sleep(1e6, undefined, { signal });
        yield 'never';
      } finally {
        ended.push('generator');
      }
    } as (signal: AbortSignal) => AsyncGenerator<string>);
    const end = await other.feeds.stop('stopped');
    expect(end.data).toEqual({ reason: 'stopped' });
    expect(await run.whenEnded()).toEqual({ reason: 'stopped' });
    await until(() => aborted === 'FeedEndedError' && ended.length === 1);
    await expect(one.feeds.publish('stopped', 'x')).rejects.toMatchObject({ code: 'FEED_ENDED' });
  });

  it('a source that fails ends the feed as failed, with what the application says to clients', async () => {
    const { feeds } = await node();
    const failing = (error: Error) =>
      async function* () {
        yield 1;
        throw error;
      };
    const ended = async (feed: string, error: Error) => (await feeds.run(feed, failing(error))).whenEnded();
    expect(await ended('f1', new ForbiddenException('Too expensive.'))).toEqual({ reason: 'failed', message: 'Too expensive.' });
    expect(await ended('f2', new Error('secret'))).toEqual({ reason: 'failed', message: 'The source has failed.' });
    // What it made before is published, also where it was still being joined.
    await (
      await feeds.run(
        'f5',
        async function* () {
          yield 'last';
          yield ' words';
          throw new Error('x');
        },
        { coalesceMs: 10_000 },
      )
    ).whenEnded();
    expect((await feeds.history('f5')).messages.map(({ data }) => data)).toEqual([
      'last words',
      expect.objectContaining({ reason: 'failed' }),
    ]);
    // Before it has a source, nothing has begun.
    await expect(feeds.run('f3', () => Promise.reject(new ForbiddenException('No.')))).rejects.toThrow('No.');
    expect((await feeds.run('f3', () => [1, 2])).state).toBe('started');
  });

  it('pieces of text that come soon after each other are joined, in order with what is no text', async () => {
    const served = await node();
    const pieces = ['a', 'b', 'c', { n: 1 }, 'd', { data: 'e', type: 'other' }, 'f', 'g'];
    const run = await served.feeds.run('joined', () => pieces, { coalesceMs: 50, type: 't' });
    await run.whenEnded();
    expect((await bodyOf(served, 'joined')).map(({ type, data }) => [type, data])).toEqual([
      ['t', 'abc'],
      ['t', { n: 1 }],
      ['t', 'd'],
      ['other', 'e'],
      ['t', 'fg'],
      ['end', { reason: 'completed' }],
    ]);
    // A silence longer than that sends what there is.
    const slow = await served.feeds.run('slow', () => interval(100).pipe(take(3), map(String)), { coalesceMs: 5 });
    await slow.whenEnded();
    expect((await bodyOf(served, 'slow')).map(({ data }) => data)).toEqual(['0', '1', '2', { reason: 'completed' }]);
  });

  it('a feed that is finished with what is no text goes on; what a run fails with is told, however long it is', async () => {
    const [one, other] = await nodes();
    for (const error of [new Error('disk full'), null, 5] as unknown as string[]) {
      await expect(one.feeds.finish('f', { error })).rejects.toMatchObject({ code: 'FEED_MESSAGE' });
    }
    await other.feeds.publish('f', 'goes on');
    expect(await one.feeds.finish('f', { error: 'The disk is full.' })).toMatchObject({ data: { message: 'The disk is full.' } });
    expect((await bodyOf(other, 'f')).map(({ data }) => data)).toEqual(['goes on', { reason: 'failed', message: 'The disk is full.' }]);
    const run = await one.feeds.run('g', () => throwError(() => new ForbiddenException('x'.repeat(2_000_000))));
    expect(await run.whenEnded()).toEqual({ reason: 'failed', message: 'x'.repeat(1000) });
  });

  it('others may publish to the feed of a run meanwhile', async () => {
    const [one, other] = await nodes();
    const run = await one.feeds.run('shared', () => interval(2).pipe(take(100), map(String)));
    let isOver = false;
    void run.whenEnded().then(() => {
      isOver = true;
    });
    const published: string[] = [];
    for (let n = 0; !isOver; n += 1) {
      const data = `other ${n}`;
      await sleep(1);
      await other.feeds.publish('shared', data).then(
        () => published.push(data),
        (error) => expect(error).toMatchObject({ code: 'FEED_ENDED' }),
      );
    }
    const data = (await bodyOf(one, 'shared')).map((line) => line.data);
    expect(data.filter((text) => !`${text}`.startsWith('other')).slice(0, -1)).toEqual(Array.from({ length: 100 }, (_, n) => `${n}`));
    expect(data.filter((text) => `${text}`.startsWith('other'))).toEqual(published);
  });

  /** Producers that do not mind that they are stopped, at each moment of a run. */
  const deaf = (begun: () => void): Record<string, Producer> => ({
    'has not returned its source': () => {
      begun();
      return new Promise(() => {});
    },
    'waits in its source': async function* () {
      yield 'old';
      begun();
      await new Promise(() => {});
    },
    'goes on and on': async function* () {
      for (;;) {
        yield 'old';
        begun();
        await sleep(1);
      }
    },
    'emits what nothing waits for': () => {
      begun();
      return interval(1);
    },
  });

  it.each(Object.keys(deaf(() => {})))('a feed is begun anew while its producer %s: stopped or not, and run by any node', async (name) => {
    const all = await nodes();
    let round = 0;
    for (const isStopped of [true, false]) {
      for (const starter of all) {
        for (const other of all) {
          round += 1;
          const feed = `anew/${round}`;
          let hasBegun = false;
          let signal: AbortSignal | undefined;
          const produce = deaf(() => {
            hasBegun = true;
          })[name] as Producer;
          const before = starter.feeds.run(feed, (given) => {
            signal = given;
            return produce(given);
          });
          await until(() => hasBegun);
          if (isStopped) await other.feeds.stop(feed);
          await other.feeds.clear(feed);
          const again = await (round % 2 ? starter : other).feeds.run(feed, () => ['new', 'words']);
          expect([name, isStopped, again.state]).toEqual([name, isStopped, 'started']);
          expect(await again.whenEnded()).toEqual({ reason: 'completed' });
          expect((await bodyOf(starter, feed)).map(({ data }) => data)).toEqual(['new', 'words', { reason: 'completed' }]);
          expect((await before).state).toBe(name.includes('returned') ? 'ended' : 'started');
          expect(signal?.aborted).toBe(true);
        }
      }
    }
  });

  it('a source that comes when its run has been stopped is not begun', async () => {
    const { feeds } = await node();
    const sources = { pulled: 0, pushed: 0, returned: 0 };
    const late: ObservableInput<string>[] = [
      new Observable(() => {
        sources.pushed += 1;
      }),
      {
        [Symbol.asyncIterator]: () => ({
          next: async () => {
            sources.pulled += 1;
            return { done: false, value: 'x' };
          },
          return: async () => {
            sources.returned += 1;
            return { done: true, value: undefined };
          },
        }),
      },
    ];
    for (const [n, source] of late.entries()) {
      let give: ((source: ObservableInput<string>) => void) | undefined;
      const run = feeds.run(`late/${n}`, () => {
        return new Promise<ObservableInput<string>>((resolve) => {
          give = resolve;
        });
      });
      await until(() => give !== undefined);
      await feeds.stop(`late/${n}`);
      expect((await run).state).toBe('ended');
      give?.(source);
    }
    await until(() => sources.returned === 1);
    expect(sources).toEqual({ pulled: 0, pushed: 0, returned: 1 });
  });

  it('a shutdown ends the runs of the node', async () => {
    const [one, other] = await nodes();
    const run = await one.feeds.run('shut', () => interval(10));
    expect(run.state).toBe('started');
    if (one === other) return void (await one.app.close());
    const joined = await other.feeds.run('shut', () => [1]);
    expect(joined.state).toBe('joined');
    await one.app.close();
    expect(await joined.whenEnded()).toEqual({ reason: 'failed', message: 'The service has been shut down.' });
  });

  if (kind.name !== 'memory') return;

  it('text that comes while the broker is busy is joined', async () => {
    const held: (() => void)[] = [];
    class BusyBroker extends MemoryBroker {
      override async publish(...args: Parameters<Broker['publish']>) {
        if (args[0] === 'busy') await new Promise<void>((resolve) => held.push(resolve));
        return super.publish(...args);
      }
    }
    broker = (context) => new BusyBroker(context);
    const served = await node();
    const pieces = new Subject<string>();
    await served.feeds.run('busy', () => pieces, { coalesceMs: 1 });
    const release = async () => {
      await until(() => held.length > 0);
      held.shift()?.();
    };
    pieces.next('a');
    await until(() => held.length > 0);
    for (const piece of ['b', 'c', 'd']) {
      pieces.next(piece);
      await sleep(10);
    }
    await release();
    await release();
    pieces.complete();
    await release();
    expect((await bodyOf(served, 'busy')).map(({ data }) => data)).toEqual(['a', 'bcd', { reason: 'completed' }]);
  });
});
