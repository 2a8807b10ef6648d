import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Get, Header } from '@nestjs/common';
import { type Browser, chromium, type Page } from 'playwright-core';
import { Subject } from 'rxjs';
import { Feed } from '../../src/index.js';
import { chromiumArgs, missing } from '../../tools/engines.mjs';
import { closeAll, platforms, type Served, serveFeeds, until } from '../support/serve.js';

// tools/engines.mjs, which the test command runs first, says so where it is missing
const inBrowser = missing().includes('chromium') ? describe.skip : describe;

const said = new Subject<unknown>();

@Controller('page')
class PageController {
  @Get()
  @Header('Content-Type', 'text/html')
  page() {
    return '<!doctype html><title>t</title>';
  }

  @Feed('source')
  source() {
    return said;
  }
}

/** What a page has seen of its event source: types, data, and the `readyState` at an error. */
interface Seen {
  events: [type: string, data: unknown][];
  readyState: number;
}

inBrowser.each(platforms)("Chromium's EventSource on %s", (platform) => {
  let browser: Browser;
  let served: Served;
  let page: Page;
  let requests: string[] = [];

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: chromiumArgs });
  });
  afterAll(() => browser?.close());
  beforeEach(async () => {
    requests = [];
    served = await serveFeeds(platform, {}, { controllers: [PageController] }, (app) =>
      app.use((request: IncomingMessage, response: ServerResponse, next: () => void) => {
        response.on('finish', () => requests.push(`${request.url} ${response.statusCode}`));
        next();
      }),
    );
    page = await browser.newPage();
    await page.goto(`${served.url}/page`);
  });
  afterEach(async () => {
    await page.close();
    await closeAll();
  });

  /** Opens an event source in the page. */
  const open = (path: string) =>
    page.evaluate((url) => {
      const source = new EventSource(url);
      const seen: Seen = { events: [], readyState: source.readyState };
      for (const type of ['message', 'end', 'reset', 'error']) {
        source.addEventListener(type, (event) => {
          seen.events.push([type, (event as MessageEvent).data ?? null]);
          seen.readyState = source.readyState;
        });
      }
      (globalThis as unknown as Record<string, Seen>)[url] = seen;
    }, path);
  const seenOf = (path: string) => page.evaluate((url) => (globalThis as unknown as Record<string, Seen>)[url] as Seen, path);
  const requestsOf = (path: string) => requests.filter((request) => request.startsWith(path));

  it('gets the end of a feed, comes back once for 204, and then stays away', async () => {
    const [first, second] = ['/feeds/first?since=earliest', '/feeds/second?since=earliest'] as const;
    for (const [path, feed] of [
      [first, 'first'],
      [second, 'second'],
    ] as const) {
      await served.feeds.publish(feed, 'kept');
      await open(path);
      await until(() => served.feeds.subscribers(feed) === 1);
      await served.feeds.publish(feed, 'live');
      await served.feeds.finish(feed, { error: 'It broke.' });
      await until(async () => (await seenOf(path)).readyState === 2);
    }
    // The second has come back and gone meanwhile, and the first has not come again.
    for (const path of [first, second]) {
      expect((await seenOf(path)).events).toEqual([
        ['message', 'kept'],
        ['message', 'live'],
        ['end', '{"reason":"failed","message":"It broke."}'],
        ['error', null],
        ['error', null],
      ]);
      expect(requestsOf(path)).toEqual([`${path} 200`, `${path} 204`]);
    }
    expect(served.feeds.counts()).toMatchObject({ open: 0, opened: 2, feeds: 0 });
  });

  it('is told why a source has failed, and comes back', async () => {
    await open('/page/source');
    await until(() => served.feeds.counts().opened === 1);
    said.next({ data: 'first', retry: 10 });
    said.next({ type: 'a\nb', data: 'cannot be sent' });
    await until(() => served.feeds.counts().opened === 2);
    const { events } = await seenOf('/page/source');
    expect(events).toEqual([
      ['message', 'first'],
      ['error', '{"code":"INTERNAL","message":"The source has failed."}'],
      ['error', null],
    ]);
  });
});
