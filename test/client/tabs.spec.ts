import { until } from '../support/until.js';
import { base, closeClients, collect, end, message, pause, startServer, stopServer, wire } from '../support/wire.js';

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

beforeAll(startServer);
afterAll(stopServer);
afterEach(() => {
  closeClients();
  Reflect.deleteProperty(globalThis, 'navigator');
});

describe('tabs that share a connection, whatever comes at which moment', () => {
  it('a tab that takes over while it catches up has what is between', async () => {
    withLocks(fakeLocks());
    const url = `${base}/${Math.random()}`;
    const [first, second] = [wire({ share: true, url }), wire({ share: true, url })];
    collect(first.client.follow('a'));
    (await first.request(0)).open('e-4').line({ position: 'e-4' });
    await first.isLive();
    const late = collect(second.client.follow('a', { since: 'earliest' }));
    const own = (await first.request(1)).open('e-0').line(message(1));
    await until(() => late.all.length === 1);
    first.asked[0]?.line(message(5)); // held by the second tab
    await pause(50);
    first.client.close();
    own.cut();
    const taken = (await second.request(0)).open('e-1');
    taken.line(message(2), message(3), message(4), message(5), { position: 'e-5' });
    await until(() => late.all.length >= 5);
    expect(late.all).toEqual([1, 2, 3, 4, 5]);
  });

  it('a feed that ends while a tab catches up ends there as well', async () => {
    withLocks(fakeLocks());
    const url = `${base}/${Math.random()}`;
    const [first, second] = [wire({ share: true, url }), wire({ share: true, url })];
    collect(first.client.follow('a'));
    const main = (await first.request(0)).open('e-2').line({ position: 'e-2' });
    await first.isLive();
    const late = collect(second.client.follow('a', { since: 'earliest' }));
    const own = (await first.request(1)).open('e-0').line(message(1));
    await until(() => late.all.length === 1);
    main.line(end(3));
    await pause(50);
    own.line(message(2), end(3));
    await until(() => late.isOver);
    expect(late).toMatchObject({ all: [1, 2, 'end'], isOver: true });
  });

  it('a tab that catches up to the end of a feed ends', async () => {
    withLocks(fakeLocks());
    const url = `${base}/${Math.random()}`;
    const [first, second] = [wire({ share: true, url }), wire({ share: true, url })];
    collect(first.client.follow('a'));
    (await first.request(0)).open('e-1').line({ position: 'e-1' });
    await first.isLive();
    const late = collect(second.client.follow('a', { since: 'earliest' }));
    (await first.request(1)).open('e-0').line(message(1), end(2)); // here before it is on the connection of all
    await until(() => late.isOver);
    expect(late).toMatchObject({ all: [1, 'end'], isOver: true });
  });

  it('goes on its own where the browser does not grant locks', async () => {
    withLocks({ request: async () => Promise.reject(new DOMException('denied', 'SecurityError')) });
    const { client, asked } = wire({ share: true, url: `${base}/${Math.random()}` });
    collect(client.follow('a'));
    await until(() => asked.length === 1);
  });

  it('a tab that has joined twice leaves once', async () => {
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
    await isLive();
    channel.postMessage({ to: 'leader', call: 'leave', tab: 'other', n: 1 });
    await request(2); // for b alone
    channel.close();
    leaving.abort();
    await until(() => !both.isOpen);
    const followed = asked.filter(({ isOpen }) => isOpen).map(({ url: { pathname, search } }) => `${pathname.split('/').at(-1)}${search}`);
    expect(followed).toEqual(['b?marks=1&since=e-0']);
  });

  it('the error of a status is an Error in each tab', async () => {
    withLocks(fakeLocks());
    const url = `${base}/${Math.random()}`;
    const [first, second] = [wire({ share: true, url, retry: { minMs: 500 } }), wire({ share: true, url })];
    collect(first.client.follow('a'));
    collect(second.client.follow('a'));
    const asked = await first.request(0);
    await until(() => second.client.status.value.state === 'connecting'); // it has joined
    asked.answer(502);
    await until(() => second.client.status.value.state === 'waiting');
    const { error } = second.client.status.value as { error: unknown };
    expect(error instanceof Error).toBe(true);
  });

  it('a tab that is refused its only feed does not say that it is live', async () => {
    withLocks(fakeLocks());
    const url = `${base}/${Math.random()}`;
    const [first, second] = [wire({ share: true, url }), wire({ share: true, url })];
    collect(first.client.follow('a'));
    (await first.request(0)).open('e-0').line({ position: 'e-0' });
    await first.isLive();
    const secret = collect(second.client.follow('secret'));
    (await first.request(1)).answer(403, { code: 'FEED_FORBIDDEN', feed: 'secret' });
    (await first.request(2)).open('e-0').line({ position: 'e-0' });
    await until(() => secret.isOver && first.client.status.value.state === 'live');
    await pause(50);
    expect(second.client.status.value.state).not.toBe('live');
  });
});
