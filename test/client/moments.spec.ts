import { jest } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { concat, NEVER, of } from 'rxjs';
import { createFeedClient, defineFeed, type FeedClientMessage } from '../../src/client/index.js';
import { Feed } from '../../src/index.js';
import { Run } from '../support/run.js';
import { closeAll, feedModule, serve, serveFeeds, until } from '../support/serve.js';
import { base, closeClients, collect, end, message, note, pause, startServer, stopServer, wire } from '../support/wire.js';

beforeAll(startServer);
afterAll(stopServer);
afterEach(async () => {
  closeClients();
  await closeAll();
});

describe('the client, whatever comes at which moment', () => {
  it('validate: nothing comes after the error', async () => {
    let loaded: ((position: string) => void) | undefined;
    const { client, request } = wire({
      validate: true,
      onReset: () =>
        new Promise((resolve) => {
          loaded = resolve;
        }),
    });
    const validate = (value: unknown) => (value === 2 ? { issues: [{ message: 'is 2' }] } : { value });
    const schema = { '~standard': { version: 1, vendor: 'test', validate } } as never;
    const a = collect(client.follow(defineFeed('a', { message: schema })()));
    (await request(0)).open('e-0').line({ feed: 'a', type: 'reset', data: {} }, message(1), message(2), message(3));
    await until(() => loaded !== undefined);
    loaded?.('e-0');
    await until(() => a.isOver);
    expect(a).toMatchObject({ all: [1], isOver: true });
  });

  it('a second follower misses nothing, where the connection of the first one has to be repeated', async () => {
    const served = await serveFeeds('express');
    await served.feeds.publish('a', 1);
    let count = 0;
    const client = createFeedClient({
      url: `${served.url}/feeds`,
      retry: { minMs: 1000 },
      fetch: async (...args) => {
        count += 1;
        return count === 1 ? new Response('', { status: 502 }) : fetch(...args);
      },
    });
    note(client);
    collect(client.follow('a'));
    const all = collect(client.follow('a', { since: 'earliest' }));
    await until(() => all.all.length === 1);
    await pause(100); // it has caught up, and nothing follows the feed until the next attempt
    await served.feeds.publish('a', 2);
    await until(() => client.status.value.state === 'live');
    await served.feeds.publish('a', 3);
    await until(() => all.all.length === 3);
    expect(all.all).toEqual([1, 2, 3]);
  });

  it('a feed that ends while it is caught up with, ends once: the others of the follower go on', async () => {
    const { client, request, isLive } = wire();
    collect(client.follow(['a', 'b']));
    const main = (await request(0)).open('e-1').line({ position: 'e-1' });
    await isLive();
    const late = collect(client.follow(['a', 'b'], { since: 'earliest' }));
    const ownA = (await request(1)).open('e-0').line(message(1));
    main.line(end(2));
    await pause(30);
    ownA.line(end(2));
    await until(() => late.all.length === 2);
    expect([late.all, late.isOver]).toEqual([[1, 'end'], false]);
  });

  it('a source whose items have ids loses none', async () => {
    @Controller()
    class Sourced {
      @Feed('sourced')
      sourced() {
        return concat(of({ id: 'x', data: 1 }, { id: 'y', data: 2 }, { id: 'z', data: 3 }), NEVER);
      }
    }
    const served = await serve('express', { imports: [feedModule()], controllers: [Sourced] });
    const client = createFeedClient({ url: served.url });
    note(client);
    const all = collect(client.follow('sourced'));
    await until(() => all.all.length === 3);
    expect(all.all).toEqual([1, 2, 3]);
  });

  it('one that begins earlier while the connection is lost gives the others nothing of before', async () => {
    const { client, request, isLive } = wire({ retry: { minMs: 300 } });
    const now = collect(client.follow('a'));
    (await request(0)).open('e-2').line({ position: 'e-2' });
    await isLive();
    (await request(0)).cut();
    await until(() => client.status.value.state === 'waiting');
    const before = collect(client.follow('a', { since: 'e-0' }));
    const again = await request(1);
    again.open('e-0').line(message(1), message(2), { position: 'e-2' });
    await until(() => before.all.length === 2);
    expect(now.all).toEqual([]);
  });

  it('one that begins where nothing is stored any more, while the connection is lost, gives the others no reset', async () => {
    const { client, request, isLive } = wire({ retry: { minMs: 300 } });
    const now = collect(client.follow('a'));
    (await request(0)).open('e-1').line({ position: 'e-1' }, message(2), message(3));
    await isLive();
    (await request(0)).cut();
    await until(() => client.status.value.state === 'waiting');
    collect(client.follow('a', { since: 'e-0' }));
    const again = (await request(1)).open('e-0');
    again.line({ feed: 'a', type: 'reset', data: { feed: 'a', oldest: 'e-3/a' } }, message(3), { position: 'e-3' });
    await pause(50);
    expect(now.all).toEqual([2, 3]);
  });

  it('messages wait for onReset also where a follower catches up', async () => {
    let loaded: (position: string) => void = () => {};
    const { client, request, isLive } = wire({
      onReset: () =>
        new Promise((resolve) => {
          loaded = resolve;
        }),
    });
    collect(client.follow('a'));
    (await request(0)).open('e-5').line({ position: 'e-5' });
    await isLive();
    const late = collect(client.follow('a', { since: 'e-1' }));
    (await request(1)).open('e-1').line({ feed: 'a', type: 'reset', data: {} }, message(4), message(5), { position: 'e-5' });
    await pause(50);
    const early = [...late.all];
    loaded('e-5');
    expect(early).toEqual([]); // the state has both
  });

  it('nothing comes after complete: onReset is over when the client is closed', async () => {
    let loaded: (position: string) => void = () => {};
    const { client, request } = wire({
      onReset: () =>
        new Promise((resolve) => {
          loaded = resolve;
        }),
    });
    const messages = client.follow('a', { since: 'e-1' });
    const a = collect(messages);
    (await request(0)).open('e-1').line({ feed: 'a', type: 'reset', data: {} }, message(5), { position: 'e-5' });
    await pause(50);
    messages.close();
    expect(a).toMatchObject({ all: [], isOver: true });
    loaded('e-4');
    await pause(20);
    expect(a.all).toEqual([]);
  });

  it('asks for a token again where the function has hung', async () => {
    let count = 0;
    const { client, asked } = wire({
      stallMs: 50,
      token: () => {
        count += 1;
        return count === 1 ? new Promise<string>(() => {}) : 'token';
      },
    });
    collect(client.follow('a'));
    await until(() => asked.length === 1);
  });

  it('publish() ends with its time and its signal, where the token hangs', async () => {
    const { client } = wire({ token: () => new Promise<string>(() => {}) });
    const leaving = new AbortController();
    let isOver = false;
    client.publish('a', 1, { timeoutMs: 50, signal: leaving.signal }).catch(() => {
      isOver = true;
    });
    await pause(150);
    leaving.abort();
    await until(() => isOver);
  });

  it('a follower that is closed holds nobody back, however much it has not taken', async () => {
    const { client, request, isLive } = wire();
    const slow = client.follow('a');
    const iterator = slow[Symbol.asyncIterator]();
    const first = iterator.next();
    const b = collect(client.follow('b'));
    (await request(0)).open('e-0').line({ position: 'e-0' });
    await isLive();
    (await request(0)).line(...Array.from({ length: 1500 }, (_, n) => message(n + 1)));
    await first;
    await pause(50);
    slow.close();
    const rest = await request(1).catch(() => undefined); // b alone
    rest?.open('e-1500').line({ position: 'e-1500' }, message(1501, 'b'));
    await until(() => b.all.length === 1);
    expect(b.all).toEqual([1501]);
  });

  it('close() ends what catches up as well', async () => {
    const { client, request, isLive, asked } = wire();
    collect(client.follow('a'));
    (await request(0)).open('e-1').line({ position: 'e-1' });
    await isLive();
    collect(client.follow('a', { since: 'earliest' }));
    (await request(1)).open('e-0').line(message(1)); // and no more
    await pause(30);
    client.close();
    await until(() => asked.every(({ isOpen }) => !isOpen));
    expect(asked).toHaveLength(2);
  });

  it('a source that is followed twice keeps nobody from catching up', async () => {
    const { client, request, asked } = wire();
    collect(client.follow('source'));
    (await request(0)).open().line({ feed: 'source', data: 1 });
    await until(() => client.status.value.state === 'live');
    const second = collect(client.follow('source'));
    (await request(1)).open().line({ feed: 'source', data: 1 });
    await until(() => !asked[1]?.isOpen); // it has caught up
    expect(second.isOver).toBe(false);
    collect(client.follow('source', { since: 'earliest' }));
    await until(() => client.status.value.state === 'live');
    await expect(request(2)).resolves.toBeDefined();
  });

  it('a status observer that throws stops nobody, and its error is reported', async () => {
    // In a process of its own, since Jest takes every uncaught error for one of the test.
    const { asked, headers } = wire();
    const run = Run.node([
      '--input-type=module',
      '--eval',
      `import { createFeedClient } from './dist/client/index.js';
      process.on('uncaughtException', ({ message }) => console.log('uncaught:', message));
      const client = createFeedClient({ url: '${base}/feeds', retry: { minMs: 20, maxMs: 40 }, headers: ${JSON.stringify(headers)} });
      client.status.subscribe(({ state }) => {
        if (state === 'waiting') throw new Error('of the application');
      });
      client.follow('a').subscribe(() => {});`,
    ]);
    await until(() => asked.length === 1);
    asked[0]?.answer(502);
    await until(() => asked.length === 2);
    expect(run.out).toBe('uncaught: of the application\n');
    run.child.kill();
    await run.exit;
  });

  it('a part of the client that could not be loaded once fails its follower, and is loaded for the next one', async () => {
    const uncaught: unknown[] = [];
    const note = (error: unknown) => uncaught.push(error);
    process.on('unhandledRejection', note);
    let count = 0;
    const catchUp = jest.fn(async (pending: Set<{ release(position?: string): void }>) => {
      for (const subscription of pending) subscription.release('e-1');
      pending.clear();
    });
    jest.resetModules();
    jest.unstable_mockModule('../../src/client/catch-up.js', () => ({
      get catchUp() {
        count += 1;
        if (count === 1) throw new TypeError('Failed to fetch dynamically imported module'); // as the import would
        return catchUp;
      },
    }));
    try {
      const fresh = (await import('../../src/client/index.js')).createFeedClient;
      const { client, request, isLive } = wire({}, fresh);
      collect(client.follow('a'));
      (await request(0)).open('e-1').line({ position: 'e-1' });
      await isLive();
      const one = collect(client.follow('a', { since: 'earliest' }));
      await until(() => one.isOver);
      collect(client.follow('a', { since: 'earliest' }));
      await until(() => catchUp.mock.calls.length > 0);
      expect([one.isOver, catchUp.mock.calls.length, uncaught]).toEqual([true, 1, []]);
    } finally {
      process.off('unhandledRejection', note);
      jest.unstable_unmockModule('../../src/client/catch-up.js');
      jest.resetModules();
    }
  });

  it('return() of an iterator leaves, also while next() waits', async () => {
    const { client, request, isLive } = wire();
    const iterator = client.follow('a')[Symbol.asyncIterator]();
    iterator.next().catch(() => {});
    const only = (await request(0)).open('e-0').line({ position: 'e-0' });
    await isLive();
    void iterator.return?.();
    await until(() => !only.isOpen);
  });

  it('more than 100 feeds leave no connection behind', async () => {
    const { client, asked } = wire();
    const a = collect(client.follow(Array.from({ length: 105 }, (_, n) => `f${n}`)));
    await until(() => a.isOver);
    await pause(50);
    expect(asked.filter(({ isOpen }) => isOpen).map(({ url }) => url.search)).toEqual([]);
  });

  it('close() leaves no timer behind', async () => {
    const { setTimeout: set } = globalThis;
    const left = new Set<unknown>();
    const clear = globalThis.clearTimeout;
    globalThis.setTimeout = ((call: () => void, ms: number) => {
      const timer = set(() => {
        left.delete(timer);
        call();
      }, ms);
      if (ms > 60_000) left.add(timer);
      return timer;
    }) as never;
    globalThis.clearTimeout = ((timer: never) => {
      left.delete(timer);
      clear(timer);
    }) as never;
    try {
      const { client, request } = wire();
      collect(client.follow('a'));
      (await request(0)).answer(503, {}, { 'retry-after': '3600' });
      await until(() => client.status.value.state === 'waiting');
      client.close();
      await pause(20);
      expect(left.size).toBe(0); // Node would not exit for an hour
    } finally {
      for (const timer of left) clear(timer as never);
      Object.assign(globalThis, { setTimeout: set, clearTimeout: clear });
    }
  });

  it('an observer that is unsubscribed by another one gets nothing more', async () => {
    const { client, request } = wire();
    const messages = client.follow('a');
    const all: FeedClientMessage[] = [];
    messages.subscribe(() => second.unsubscribe());
    const second = messages.subscribe((value) => all.push(value));
    (await request(0)).open('e-0').line({ position: 'e-0' }, message(1));
    await pause(50);
    expect(all).toEqual([]);
  });

  it('is idle when nothing is followed, also where there was no token', async () => {
    const { client } = wire({
      token: () => {
        throw new Error('gone');
      },
    });
    const messages = client.follow('a');
    collect(messages);
    await until(() => client.status.value.state === 'failed');
    messages.close();
    await pause(100);
    expect(client.status.value).toEqual({ state: 'idle' });
  });
});
