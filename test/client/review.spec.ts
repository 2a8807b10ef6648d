import { getEventListeners, once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { jest } from '@jest/globals';
import { Controller } from '@nestjs/common';
import { concat, NEVER, of } from 'rxjs';
import { createFeedClient, defineFeed, type FeedClient, type FeedClientMessage, type FeedClientOptions } from '../../src/client/index.js';
import { Feed } from '../../src/index.js';
import { closeAll, feedModule, serve, serveFeeds } from '../support/serve.js';

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
/** Waits for a short time only: what is not so by then hangs. */
const soon = async (isSo: () => boolean, ms = 1500): Promise<boolean> => {
  for (const until = Date.now() + ms; Date.now() < until && !isSo(); ) await pause(5);
  return isSo();
};

/** A request, which the test answers. */
class Asked {
  readonly url: URL;

  constructor(
    request: IncomingMessage,
    private readonly response: ServerResponse,
  ) {
    this.url = new URL(request.url ?? '', base);
    response.on('error', () => {});
  }

  get since(): string[] {
    return this.url.searchParams.getAll('since');
  }

  /** Whether its client still waits for it. */
  get isOpen(): boolean {
    return !this.response.closed;
  }

  answer(status: number, body: unknown = {}, headers: Record<string, string> = {}): void {
    this.response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(body));
  }

  /** Answers with a stream that begins there. */
  open(position?: string): this {
    this.response.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
    return this.line({ position, heartbeatMs: 25_000 });
  }

  line(...lines: object[]): this {
    this.response.write(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    return this;
  }

  cut(): void {
    this.response.destroy();
  }

  finish(): void {
    this.response.end();
  }
}

/** What each client has asked of the server, by a header of its own. */
const askedBy = new Map<string, Asked[]>();
const server = createServer((request, response) => askedBy.get(`${request.headers['x-client']}`)?.push(new Asked(request, response)));
let base = '';
beforeAll(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const message = (n: number, feed = 'a', epoch = 'e') => ({ id: `${epoch}-${n}/${feed}`, feed, time: 1, data: n });
const end = (n: number, feed = 'a') => ({ id: `e-${n}/${feed}`, feed, type: 'end', time: 1, data: { reason: 'completed' } });

/** Something on the way that collects streams: their head comes, and nothing behind it. */
const collecting = (async (url: URL, init: RequestInit) =>
  url.searchParams.has('mode')
    ? fetch(url, init)
    : new Response(
        new ReadableStream({ start: (body) => init.signal?.addEventListener('abort', () => body.error(init.signal?.reason)) }),
      )) as typeof fetch;

let clients: FeedClient[] = [];
const wire = (options: Partial<FeedClientOptions> = {}, create = createFeedClient) => {
  const asked: Asked[] = [];
  const name = `${askedBy.size}`;
  askedBy.set(name, asked);
  const client = create({ url: `${base}/feeds`, retry: { minMs: 20, maxMs: 40 }, headers: { 'X-Client': name }, ...options });
  clients.push(client);
  const request = async (n: number): Promise<Asked> => {
    if (!(await soon(() => asked.length > n))) throw new Error(`${asked.length} requests, not ${n + 1}`);
    return asked[n] as Asked;
  };
  return { client, asked, request, isLive: () => soon(() => client.status.value.state === 'live') };
};
const collect = (messages: { subscribe: ReturnType<FeedClient['follow']>['subscribe'] }) => {
  const all: unknown[] = [];
  const state = { all, isOver: false, error: undefined as unknown };
  messages.subscribe({
    next: ({ type, data }) => all.push(type ?? data),
    error: (error: unknown) => Object.assign(state, { error, isOver: true }),
    complete: () => Object.assign(state, { isOver: true }),
  });
  return state;
};
/** As Web Locks, in one process. */
const fakeLocks = () => {
  const queues = new Map<string, Promise<unknown>>();
  return {
    request(name: string, { signal }: { signal: AbortSignal }, held: () => unknown) {
      const before = queues.get(name) ?? Promise.resolve();
      const now = before.then(() => {
        if (signal.aborted) throw signal.reason;
        return held();
      });
      queues.set(
        name,
        now.catch(() => {}),
      );
      return now;
    },
  };
};
const withLocks = (locks: unknown) => Object.defineProperty(globalThis, 'navigator', { value: { locks }, configurable: true });

afterEach(async () => {
  for (const client of clients) client.close();
  clients = [];
  Reflect.deleteProperty(globalThis, 'navigator');
  await closeAll();
});

describe('messages', () => {
  it('share: a tab that takes over while it catches up has what is between', async () => {
    withLocks(fakeLocks());
    const url = `${base}/${Math.random()}`;
    const [first, second] = [wire({ share: true, url }), wire({ share: true, url })];
    collect(first.client.follow('a'));
    (await first.request(0)).open('e-4').line({ position: 'e-4' });
    await first.isLive();
    const late = collect(second.client.follow('a', { since: 'earliest' }));
    const own = (await first.request(1)).open('e-0').line(message(1));
    await soon(() => late.all.length === 1);
    first.asked[0]?.line(message(5)); // held by the second tab
    await pause(50);
    first.client.close();
    own.cut();
    const taken = (await second.request(0)).open('e-1');
    taken.line(message(2), message(3), message(4), message(5), { position: 'e-5' });
    await soon(() => late.all.length >= 5, 300);
    expect(late.all).toEqual([1, 2, 3, 4, 5]);
  });

  it('share: a feed that ends while a tab catches up ends there as well', async () => {
    withLocks(fakeLocks());
    const url = `${base}/${Math.random()}`;
    const [first, second] = [wire({ share: true, url }), wire({ share: true, url })];
    collect(first.client.follow('a'));
    const main = (await first.request(0)).open('e-2').line({ position: 'e-2' });
    await first.isLive();
    const late = collect(second.client.follow('a', { since: 'earliest' }));
    const own = (await first.request(1)).open('e-0').line(message(1));
    await soon(() => late.all.length === 1);
    main.line(end(3));
    await pause(50);
    own.line(message(2), end(3));
    await soon(() => late.isOver, 500);
    expect(late).toMatchObject({ all: [1, 2, 'end'], isOver: true });
  });

  it('share: a tab that catches up to the end of a feed ends', async () => {
    withLocks(fakeLocks());
    const url = `${base}/${Math.random()}`;
    const [first, second] = [wire({ share: true, url }), wire({ share: true, url })];
    collect(first.client.follow('a'));
    (await first.request(0)).open('e-1').line({ position: 'e-1' });
    await first.isLive();
    const late = collect(second.client.follow('a', { since: 'earliest' }));
    (await first.request(1)).open('e-0').line(message(1), end(2)); // here before it is on the connection of all
    await soon(() => late.isOver, 500);
    expect(late).toMatchObject({ all: [1, 'end'], isOver: true });
  });

  it('validate: nothing comes after the error', async () => {
    let loaded: (position: string) => void = () => {};
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
    await pause(50);
    loaded('e-0');
    await pause(50);
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
    clients.push(client);
    collect(client.follow('a'));
    const all = collect(client.follow('a', { since: 'earliest' }));
    await soon(() => all.all.length === 1);
    await pause(100); // it has caught up, and nothing follows the feed until the next attempt
    await served.feeds.publish('a', 2);
    await soon(() => client.status.value.state === 'live', 3000);
    await served.feeds.publish('a', 3);
    await soon(() => all.all.length === 3, 500);
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
    await pause(30);
    const all = late.isOver;
    expect([late.all, all]).toEqual([[1, 'end'], false]);
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
    clients.push(client);
    const all = collect(client.follow('sourced'));
    await soon(() => all.all.length === 3, 700);
    expect(all.all).toEqual([1, 2, 3]);
  });

  it('one that begins earlier while the connection is lost gives the others nothing of before', async () => {
    const { client, request, isLive } = wire({ retry: { minMs: 300 } });
    const now = collect(client.follow('a'));
    (await request(0)).open('e-2').line({ position: 'e-2' });
    await isLive();
    (await request(0)).cut();
    await soon(() => client.status.value.state === 'waiting');
    const before = collect(client.follow('a', { since: 'e-0' }));
    const again = await request(1);
    again.open('e-0').line(message(1), message(2), { position: 'e-2' });
    await soon(() => before.all.length === 2, 500);
    expect(now.all).toEqual([]);
  });

  it('one that begins where nothing is stored any more, while the connection is lost, gives the others no reset', async () => {
    const { client, request, isLive } = wire({ retry: { minMs: 300 } });
    const now = collect(client.follow('a'));
    (await request(0)).open('e-1').line({ position: 'e-1' }, message(2), message(3));
    await isLive();
    (await request(0)).cut();
    await soon(() => client.status.value.state === 'waiting');
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

  it('resume: a loop that has not taken its messages gets them after the page is loaded again', async () => {
    const kept = new Map<string, string>();
    const resume = { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value) };
    const { client, request } = wire({ resume });
    const iterator = client.follow('a')[Symbol.asyncIterator]();
    const first = iterator.next();
    (await request(0)).open('e-0').line({ position: 'e-0' }, message(1), message(2), message(3));
    await first; // and the page is left while this one is being worked on
    await pause(600);
    const next = wire({ resume: { ...resume, setItem: () => {} } });
    collect(next.client.follow('a'));
    expect((await next.request(0)).since).toEqual(['e-1']);
  });

  it('polls: a feed begins with what its rule replays', async () => {
    const served = await serveFeeds('express', { rules: { p: { replay: 'newest' } } });
    await served.feeds.publish('p', 1);
    const client = createFeedClient({ url: `${served.url}/feeds`, fetch: collecting });
    clients.push(client);
    const p = collect(client.follow('p'));
    await soon(() => client.status.value.state === 'live', 9000);
    expect(p.all).toEqual([1]);
  });
});

describe('hangs and loops', () => {
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
    expect(await soon(() => asked.length === 1)).toBe(true);
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
    expect(await soon(() => isOver, 300)).toBe(true);
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
    await soon(() => b.all.length === 1, 500);
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
    await pause(30);
    expect(asked.map(({ isOpen }) => isOpen)).toEqual([false, false]);
  });

  it('a source that is followed twice keeps nobody from catching up', async () => {
    const { client, request } = wire();
    collect(client.follow('source'));
    (await request(0)).open().line({ feed: 'source', data: 1 });
    await pause(20);
    collect(client.follow('source'));
    (await request(1)).open().line({ feed: 'source', data: 1 });
    await pause(20);
    collect(client.follow('source', { since: 'earliest' }));
    expect(await soon(() => client.status.value.state === 'live')).toBe(true);
    await expect(request(2)).resolves.toBeDefined();
  });

  it('a status observer that throws stops nobody', async () => {
    const { client, request } = wire();
    const uncaught: unknown[] = [];
    const note = (error: unknown) => uncaught.push(error);
    process.on('uncaughtException', note).on('unhandledRejection', note);
    client.status.subscribe(({ state }) => {
      if (state === 'waiting') throw new Error('of the application');
    });
    collect(client.follow('a'));
    (await request(0)).answer(502);
    const again = await request(1).catch(() => undefined);
    process.off('uncaughtException', note).off('unhandledRejection', note);
    expect(again).toBeDefined();
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
      await pause(50);
      collect(client.follow('a', { since: 'earliest' }));
      await pause(50);
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
    expect(await soon(() => !only.isOpen, 500)).toBe(true);
  });

  it('more than 100 feeds leave no connection behind', async () => {
    const { client, asked } = wire();
    const a = collect(client.follow(Array.from({ length: 105 }, (_, n) => `f${n}`)));
    await soon(() => a.isOver);
    await pause(50);
    expect(asked.filter(({ isOpen }) => isOpen).map(({ url }) => url.search)).toEqual([]);
  });

  it('100 feeds with long ids fit into a request', async () => {
    const served = await serveFeeds('express');
    const client = createFeedClient({ url: `${served.url}/feeds` });
    clients.push(client);
    const a = collect(client.follow(Array.from({ length: 100 }, (_, n) => `${'x'.repeat(190)}${n}`)));
    await soon(() => client.status.value.state === 'live' || a.isOver);
    expect([client.status.value.state, a.error]).toEqual(['live', undefined]);
  });

  it('share: goes on its own where the browser does not grant locks', async () => {
    withLocks({ request: async () => Promise.reject(new DOMException('denied', 'SecurityError')) });
    const { client, asked } = wire({ share: true, url: `${base}/${Math.random()}` });
    collect(client.follow('a'));
    expect(await soon(() => asked.length === 1, 500)).toBe(true);
  });

  it('share: a tab that has joined twice leaves once', async () => {
    // What the tabs of a session that is restored do: one says what it follows while the other is elected.
    withLocks(fakeLocks());
    const url = `${base}/${Math.random()}`;
    const { client, request, asked, isLive } = wire({ share: true, url });
    collect(client.follow('b'));
    (await request(0)).open('e-0').line({ position: 'e-0' });
    await isLive();
    const channel = new BroadcastChannel(`nestjs-feed:${url}`);
    const { locks } = (globalThis as unknown as { navigator: { locks: ReturnType<typeof fakeLocks> } }).navigator;
    const leaving = new AbortController();
    void locks
      .request(
        `nestjs-feed:${url} other`,
        leaving,
        () => new Promise<void>((resolve) => leaving.signal.addEventListener('abort', () => resolve())),
      )
      .catch(() => {});
    const join = { to: 'leader', call: 'join', tab: 'other', n: 1, feed: 'a', since: undefined };
    channel.postMessage(join);
    channel.postMessage(join); // after `lead`
    const both = await request(1);
    both.open('e-0').line({ position: 'e-0' });
    await pause(50);
    channel.postMessage({ to: 'leader', call: 'leave', tab: 'other', n: 1 });
    await pause(100);
    channel.close();
    leaving.abort();
    const followed = asked.filter(({ isOpen }) => isOpen).map(({ url: { pathname, search } }) => `${pathname.split('/').at(-1)}${search}`);
    expect(followed).toEqual(['b?marks=1&since=e-0']);
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
      await soon(() => client.status.value.state === 'waiting');
      client.close();
      await pause(20);
      expect(left.size).toBe(0); // Node would not exit for an hour
    } finally {
      for (const timer of left) clear(timer as never);
      Object.assign(globalThis, { setTimeout: set, clearTimeout: clear });
    }
  });
});

describe('publish, options, observers', () => {
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
    await soon(() => client.status.value.state === 'failed');
    messages.close();
    await pause(100);
    expect(client.status.value).toEqual({ state: 'idle' });
  });

  it('share: the error of a status is an Error in each tab', async () => {
    withLocks(fakeLocks());
    const url = `${base}/${Math.random()}`;
    const [first, second] = [wire({ share: true, url, retry: { minMs: 500 } }), wire({ share: true, url })];
    collect(first.client.follow('a'));
    collect(second.client.follow('a'));
    await pause(150);
    (await first.request(0)).answer(502);
    await soon(() => second.client.status.value.state === 'waiting');
    const { error } = second.client.status.value as { error: unknown };
    expect(error instanceof Error).toBe(true);
  });

  it('share: a tab that is refused its only feed does not say that it is live', async () => {
    withLocks(fakeLocks());
    const url = `${base}/${Math.random()}`;
    const [first, second] = [wire({ share: true, url }), wire({ share: true, url })];
    collect(first.client.follow('a'));
    (await first.request(0)).open('e-0').line({ position: 'e-0' });
    await first.isLive();
    const secret = collect(second.client.follow('secret'));
    (await first.request(1)).answer(403, { code: 'FEED_FORBIDDEN', feed: 'secret' });
    (await first.request(2)).open('e-0').line({ position: 'e-0' });
    await soon(() => secret.isOver && first.client.status.value.state === 'live');
    await pause(50);
    expect(second.client.status.value.state).not.toBe('live');
  });
});
