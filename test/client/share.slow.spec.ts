import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { redisBroker } from '../../src/feed/broker/redis/index.js';
import { chromiumArgs, Engine, freePort, missing } from '../../tools/engines.mjs';
import { bundle } from '../support/client-page.js';
import { FaultyProxy } from '../support/faulty-proxy.js';
import { Run, type Served as Service } from '../support/run.js';
import { closeAll, platforms, type Served, serveFeeds, until } from '../support/serve.js';

// tools/engines.mjs, which the test command runs first, says so where one is missing
const canRun = !['chromium', 'redis-server'].some((program) => missing().includes(program));
/** How long the tabs are put to the test. Two minutes: `TABS_SECONDS=120 npm test -- --testRegex test/client/share`. */
const seconds = Number(process.env.TABS_SECONDS ?? 12);

interface TabWindow {
  seen: Record<string, number[]>;
  state: string;
  isLeader(): Promise<boolean>;
}

/** What each tab runs. */
const script = `
import { createFeedClient } from 'nestjs-feed/client';
const { searchParams } = new URL(location.href);
const client = createFeedClient({ url: '/feeds', share: true, retry: { minMs: 50, maxMs: 500 } });
window.seen = {};
client.status.subscribe((status) => { window.state = status.state; });
for (const feed of searchParams.getAll('feed')) window.seen[feed] = [];
const read = async () => {
  for await (const { feed, type, data } of client.follow(searchParams.getAll('feed'), { since: 'earliest' })) window.seen[feed].push(type ?? data);
};
read().catch((error) => { window.state = String(error); });
const me = Math.random().toString(36);
navigator.locks.request(me, () => new Promise(() => {}));
window.isLeader = async () => {
  const { held } = await navigator.locks.query();
  const { clientId } = held.find(({ name }) => name === me);
  return held.some((lock) => lock.clientId === clientId && /^nestjs-feed:\\S+$/.test(lock.name));
};
`;

(canRun ? describe : describe.skip).each(platforms)('tabs that share a connection to the service on %s', (platform) => {
  let engine: Engine;
  let browser: Browser;
  let context: BrowserContext;
  let proxy: FaultyProxy;
  let service: Service;
  let publisher: Served;
  let port: number;
  let peak = 0;

  const names = ['a', 'b', 'c', 'd', 'e'];
  const start = () =>
    Run.service({
      ...{
        PORT: `${port}`,
        FEED_ADAPTER: platform,
        FEED_PATH: 'feeds',
        FEED_INTERVAL_MS: '0',
        FEED_BROKER: engine.url,
        FEED_HEARTBEAT_MS: '1000',
      },
      ...{ FEED_HISTORY_LENGTH: '100000', FEED_HISTORY_BYTES: '50000000', FEED_HISTORY_TTL_MS: '3600000', FEED_DRAIN_MS: '500' },
    });
  const note = async () => {
    const counts = (await service.counts()) as unknown as { peak: number };
    peak = Math.max(peak, counts.peak);
  };

  beforeAll(async () => {
    engine = await Engine.start('redis');
    port = await freePort();
    service = await start();
    proxy = await FaultyProxy.to(port);
    publisher = await serveFeeds(platform, {
      ...{ broker: redisBroker(engine.url), historyLength: 100_000, historyBytes: 50_000_000, historyTtlMs: 3_600_000 },
    });
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: chromiumArgs });
    context = await browser.newContext();
    const code = await bundle(script);
    await context.route('**/tab?*', (route) =>
      route.fulfill({
        contentType: 'text/html',
        body: `<!doctype html><title>tab</title><script type="module">${code.replaceAll('</script', '<\\/script')}</script>`,
      }),
    );
  });
  afterAll(async () => {
    await browser?.close();
    await closeAll();
    Run.endAll();
    await proxy?.close();
    await engine?.stop();
  });

  const open = async (n: number): Promise<Page> => {
    const page = await context.newPage();
    const feeds = [0, 1, 2].map((offset) => `feed=${names[(n + offset) % names.length]}`);
    await page.goto(`${proxy.url}/tab?${feeds.join('&')}`);
    return page;
  };
  const leaderOf = async (pages: Page[]): Promise<Page | undefined> => {
    for (const page of pages) if (await page.evaluate(() => (globalThis as unknown as TabWindow).isLeader())) return page;
    return undefined;
  };
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

  it(
    `see each message once and in order, by two connections at most, for ${seconds} s of faults`,
    async () => {
      let pages = await Promise.all(Array.from({ length: 10 }, (_, n) => open(n)));
      const published: Record<string, number> = Object.fromEntries(names.map((name) => [name, 0]));
      let isOver = false;
      const publishing = (async () => {
        // 200 a second, over all feeds.
        for (let n = 0; !isOver; n += 1) {
          const name = names[n % names.length] as string;
          await publisher.feeds.publish(name, published[name]);
          published[name] = (published[name] as number) + 1;
          if (n % 10 === 9) await pause(50);
        }
      })();
      const closeLeader = async () => {
        await until(async () => (await leaderOf(pages)) !== undefined);
        const leader = (await leaderOf(pages)) as Page;
        const at = pages.indexOf(leader);
        await leader.close();
        pages = pages.filter((page) => page !== leader);
        pages.push(await open(at));
      };
      const kill = async () => {
        await note();
        service.child.kill('SIGKILL');
        await service.exit;
        await pause(300);
        service = await start();
      };
      const drain = async () => {
        await note();
        service.child.kill('SIGTERM');
        await service.exit;
        service = await start();
      };
      const faults = [
        closeLeader,
        async () => proxy.cut(),
        kill,
        closeLeader,
        async () => {
          proxy.set('502');
          proxy.cut();
          await pause(700);
          proxy.set('passes');
        },
        drain,
        closeLeader,
        async () => {
          proxy.stall();
          await pause(3000);
          proxy.cut();
        },
        kill,
        closeLeader,
        async () => proxy.cut(),
        closeLeader,
      ];
      for (const fault of faults) {
        await pause((seconds * 1000) / faults.length);
        await fault();
      }
      await pause(1000);
      isOver = true;
      await publishing;
      for (const [n, page] of pages.entries()) {
        const seen = () => page.evaluate(() => (globalThis as unknown as TabWindow).seen);
        const isComplete = async () => Object.entries(await seen()).every(([name, all]) => all.length >= (published[name] as number));
        await until(isComplete).catch(async (error) => {
          const state = await page.evaluate(() => (globalThis as unknown as TabWindow).state);
          const lengths = Object.entries(await seen()).map(([name, all]) => `${name}: ${all.length} of ${published[name]}`);
          throw new Error(`tab ${n} is ${state}, with ${lengths.join(', ')}`, { cause: error });
        });
        for (const [name, all] of Object.entries(await seen())) {
          const wrong = all.findIndex((data, at) => data !== at);
          expect([n, name, all.length, all.slice(wrong, wrong < 0 ? 0 : wrong + 3)]).toEqual([n, name, published[name], []]);
        }
      }
      await note();
      expect(peak).toBeLessThanOrEqual(2);
    },
    (seconds + 180) * 1000,
  );
});
