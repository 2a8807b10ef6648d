import { Controller, Get, Header } from '@nestjs/common';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { chromiumArgs, missing } from '../../tools/engines.mjs';
import { bundle } from '../support/client-page.js';
import { FaultyProxy } from '../support/faulty-proxy.js';
import { closeAll, platforms, type Served, serveFeeds, until } from '../support/serve.js';

// tools/engines.mjs, which the test command runs first, says so where it is missing
const inBrowser = missing().includes('chromium') ? describe.skip : describe;

let code = '';

@Controller('page')
class PageController {
  @Get()
  @Header('Content-Type', 'text/html')
  page() {
    return `<!doctype html><title>page</title><script type="module">${code}</script>`;
  }
}

inBrowser.each(platforms)('the client in a page of Chromium on %s', (platform) => {
  let browser: Browser;
  let context: BrowserContext;
  let served: Served;
  let proxy: FaultyProxy;
  let page: Page;

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: chromiumArgs });
    // The delays are longer than the test may take: what comes back in time has looked by itself.
    code = await bundle(`
      import { createFeedClient } from 'nestjs-feed/client';
      const client = createFeedClient({ url: 'feeds', retry: { minMs: 600_000, maxMs: 600_000 }, resume: sessionStorage });
      window.seen = [];
      client.status.subscribe(({ state }) => { window.state = state; });
      client.follow('a').subscribe(({ data }) => window.seen.push(data));
    `);
  });
  afterAll(() => browser?.close());
  beforeEach(async () => {
    served = await serveFeeds(platform, {}, { controllers: [PageController] });
    proxy = await FaultyProxy.to(served.port);
    context = await browser.newContext();
    page = await context.newPage();
    await page.goto(`${proxy.url}/page`);
    await until(async () => (await state()) === 'live');
  });
  afterEach(async () => {
    await context.close();
    await closeAll();
    await proxy.close();
  });

  const state = () => page.evaluate(() => (globalThis as unknown as { state: string }).state);
  const seen = () => page.evaluate(() => (globalThis as unknown as { seen: unknown[] }).seen);

  it('reconnects at once when the network is there again', async () => {
    await served.feeds.publish('a', 1);
    await until(async () => (await seen()).length === 1);
    await context.setOffline(true);
    proxy.cut();
    await until(async () => (await state()) === 'waiting');
    await served.feeds.publish('a', 2);
    await context.setOffline(false);
    await until(async () => (await seen()).length === 2);
    expect(await seen()).toEqual([1, 2]);
  });

  it('reconnects at once when the page comes to the foreground', async () => {
    proxy.cut();
    await until(async () => (await state()) === 'waiting');
    await served.feeds.publish('a', 1);
    await page.evaluate(() => {
      const { document } = globalThis as unknown as { document: EventTarget };
      document.dispatchEvent(new Event('visibilitychange'));
    });
    await until(async () => (await seen()).length === 1);
  });

  it('goes on where the page was before it was reloaded', async () => {
    await served.feeds.publish('a', 1);
    await until(async () => (await seen()).length === 1);
    await page.goto('about:blank');
    await until(() => served.feeds.counts().open === 0);
    await served.feeds.publish('a', 2);
    await page.goBack();
    await until(async () => (await seen()).includes(2));
    expect((await seen()).at(-1)).toBe(2);
    expect((await seen()).filter((data) => data === 2)).toEqual([2]);
  });
});
