import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { Engine, missing } from '../../tools/engines.mjs';
import { inBrowser, useChromium } from '../support/chromium.js';
import { Run, type Served } from '../support/run.js';
import { asJson, publishKey, until } from '../support/serve.js';
import { jwtSecret, sign } from '../support/tokens.js';

const withRedis = missing().includes('redis-server') ? it.skip : it;

const start = (env: Record<string, string> = {}) => Run.service({ FEED_INTERVAL_MS: '0', FEED_PUBLISH_KEY: publishKey, ...env });

async function publish(service: Served, feed: string, data: unknown): Promise<void> {
  expect((await service.publish(`/test/${feed}`, JSON.stringify(data), asJson)).status).toBe(201);
}

afterEach(() => Run.endAll());

inBrowser('the page of the dashboard in Chromium', () => {
  const browser = useChromium();
  let complaints: string[] = [];

  beforeEach(() => {
    complaints = [];
  });

  /** Opens the dashboard, and notes whatever the page complains of: what its policy forbids is among that. */
  async function open(service: Served, options: BrowserContextOptions = {}): Promise<Page> {
    const page = await (await browser().newContext(options)).newPage();
    page.on('console', (message) => void complaints.push(message.text()));
    page.on('pageerror', (error) => void complaints.push(String(error)));
    await page.goto(`${service.url}/dashboard`);
    return page;
  }

  const text = (page: Page, selector: string) => page.textContent(selector);
  const shows = (page: Page, selector: string, wanted: string) => until(async () => (await text(page, selector)) === wanted);
  const row = (page: Page, table: string, head: string) =>
    page.$$eval(
      `${table} tbody tr`,
      (rows, name) => rows.map((one) => [...one.cells].map((cell) => cell.textContent)).find(([first]) => first === name),
      head,
    );

  it('shows its counts as connections open and close', async () => {
    const service = await start();
    const page = await open(service);
    await shows(page, '#state', 'live');
    await shows(page, '#open', '1');
    expect(await page.isVisible('#no-connections')).toBe(true);
    expect(await text(page, '#curl')).toBe(`curl -N ${service.url}/test/42`);
    const [first] = await service.follow('/test/a', '/test/a', '/test/b');
    await shows(page, '#open', '4');
    expect(await page.isVisible('#no-connections')).toBe(false);
    expect(await row(page, '#busiest', 'a')).toEqual(['a', '2']);
    expect(await page.title()).toBe('4 open – nestjs-feed');
    first?.leave();
    await shows(page, '#open', '3');
    expect(await row(page, '#ends', 'client left')).toEqual(['client left', '1', '1']);
    expect(await page.$eval('#open-chart', (chart) => chart.ariaLabel)).toContain('highest 4');
    expect(await page.$$eval('canvas', (all) => all.length)).toBe(7);
    expect(complaints).toEqual([]);
  });

  it('shows what is published to a feed, and text stays text', async () => {
    const service = await start();
    await publish(service, 'a%2Fb', 'kept');
    const page = await open(service);
    await page.fill('#follow-form [name=id]', 'a/b');
    await page.check('#follow-form [name=kept]');
    await page.press('#follow-form [name=id]', 'Enter');
    await shows(page, '#log li:first-child span', 'kept');
    const html = '<img src=x onerror="document.title=1"><script>alert(1)</script>';
    await publish(service, 'a%2Fb?type=<b>', html);
    await publish(service, 'a%2Fb', { price: 1 });
    await shows(page, '#log li:first-child span', '{"price":1}');
    expect(await text(page, '#log li:nth-child(2) span')).toBe(html);
    expect(await text(page, '#log li:nth-child(2) b')).toBe('<b>');
    expect(await page.$$eval('#log img, #log script', (all) => all.length)).toBe(0);
    expect(await text(page, '#follow-state')).toBe('a/b: following · 3 messages');
    await page.click('#stop');
    await until(async () => ((await (await fetch(`${service.url}/health/connections?id=a%2Fb`)).json()) as { open: number }).open === 0);
    await page.fill('#follow-form [name=id]', 'not an id');
    await page.press('#follow-form [name=id]', 'Enter');
    await until(async () => /^not an id: .*A-Z/.test((await text(page, '#follow-state')) ?? ''));
    expect(complaints.filter((complaint) => !complaint.includes('400 (Bad Request)'))).toEqual([]);
  });

  it('resumes the feed that it follows', async () => {
    const service = await start({ FEED_MAX_AGE_MS: '1000' });
    const page = await open(service);
    await page.fill('#follow-form [name=id]', 'a');
    await page.press('#follow-form [name=id]', 'Enter');
    await shows(page, '#follow-state', 'a: following · no messages yet');
    await publish(service, 'a', 1);
    await shows(page, '#log li:first-child span', '1');
    await shows(page, '#follow-state', 'a: ended, reconnecting');
    await publish(service, 'a', 2);
    await shows(page, '#log li:first-child span', '2');
    expect(await page.$$eval('#log span', (all) => all.map((one) => one.textContent))).toEqual(['2', '1']);
  });

  it('shows the end of the feed that it follows', async () => {
    const service = await start();
    await publish(service, 'a', 1);
    const page = await open(service);
    await page.fill('#follow-form [name=id]', 'a');
    await page.check('#follow-form [name=kept]');
    await page.press('#follow-form [name=id]', 'Enter');
    await shows(page, '#follow-state', 'a: following · 1 message');
    expect((await service.publish('/test/a?end', '')).status).toBe(201);
    await shows(page, '#follow-state', 'a: ended · 2 messages');
    expect(await page.isVisible('#stop')).toBe(false);
    await page.press('#follow-form [name=id]', 'Enter');
    await shows(page, '#follow-state', 'a: ended · 2 messages');
    expect(await page.$$eval('#log b', (all) => all.map((one) => one.textContent))).toEqual(['end']);
    expect(complaints).toEqual([]);
  });

  it('can be used with the keyboard alone', async () => {
    const service = await start();
    await service.follow('/test/news');
    const page = await open(service);
    await until(() => page.isVisible('#busiest button'));
    await page.keyboard.press('Tab');
    expect(await page.evaluate<string>('document.activeElement.className')).toBe('skip');
    for (const name of ['Overview', 'Connections', 'Feeds', 'Nodes', 'news']) {
      await page.keyboard.press('Tab');
      expect(await page.evaluate<string>('document.activeElement.textContent')).toBe(name);
    }
    // Whoever is about to pick one finds it where it was, whatever becomes busier.
    await service.follow('/test/other', '/test/other', '/test/other');
    await shows(page, '#open', '5');
    expect(await page.evaluate<string>('document.activeElement.textContent')).toBe('news');
    await page.keyboard.press('Enter');
    await shows(page, '#follow-state', 'news: following · no messages yet');
    await publish(service, 'news', 'hello');
    await shows(page, '#log li:first-child span', 'hello');
    for (let tabs = 0; tabs < 20; tabs += 1) {
      if ((await page.evaluate<string>('document.activeElement.id')) === 'stop') break;
      await page.keyboard.press('Tab');
    }
    await page.keyboard.press('Enter');
    await shows(page, '#follow-state', 'news: stopped · 1 message');
    expect(complaints).toEqual([]);
  });

  it('asks for its key, and remembers it', async () => {
    const service = await start({ FEED_DASHBOARD_KEY: 'open-sesame' });
    const page = await open(service);
    await page.fill('#key', 'wrong');
    await page.press('#key', 'Enter');
    await shows(page, '[role=alert]', 'The key is wrong.');
    await page.fill('#key', 'open-sesame');
    await page.press('#key', 'Enter');
    await shows(page, '#state', 'live');
    await page.reload();
    await shows(page, '#state', 'live');
    expect(page.url()).toBe(`${service.url}/dashboard`);
    expect(await page.evaluate<string>('document.cookie')).toBe('');
  });

  it('follows a feed with a token where one is needed', async () => {
    const service = await start({ FEED_JWT_SECRET: jwtSecret });
    const token = await sign({ feeds: 'a', publish: 'a' });
    const page = await open(service);
    await page.fill('#follow-form [name=id]', 'a');
    await page.press('#follow-form [name=id]', 'Enter');
    await shows(page, '#follow-state', 'a: Reading needs the publish key or a token.');
    await page.fill('#follow-form [name=token]', token);
    await page.press('#follow-form [name=token]', 'Enter');
    await shows(page, '#follow-state', 'a: following · no messages yet');
    expect(await text(page, '#busiest-more')).toContain('FEED_DASHBOARD_KEY');
  });

  it('says that all connections are taken, and polls its numbers', async () => {
    const service = await start({ FEED_MAX_CONNECTIONS: '2' });
    const [first] = await service.follow('/test/a', '/test/b');
    const page = await open(service);
    await shows(page, '#state', 'polling');
    await shows(page, '#notice', 'All 2 connections are taken, so this page polls every two seconds.');
    await shows(page, '#open', '2');
    first?.leave();
    await shows(page, '#state', 'live');
    expect(await page.isVisible('#notice')).toBe(false);
  });

  it('says that the service does not answer, and reconnects', async () => {
    const service = await start();
    const page = await open(service);
    await shows(page, '#state', 'live');
    service.child.kill('SIGKILL');
    await shows(page, '#state', 'connection lost');
    expect(await text(page, '#notice')).toMatch(/^The service does not respond\. The numbers are from \d\d:\d\d:\d\d\./);
    await start({ PORT: `${service.port}` });
    await shows(page, '#state', 'live');
    expect(await page.isVisible('#notice')).toBe(false);
  });

  it('polls again where something other than the service has answered', async () => {
    const service = await start();
    const page = await (await browser().newContext()).newPage();
    let pages = 0;
    await page.route('**/dashboard/feed?*', (route) => (pages > 2 ? route.continue() : route.fulfill({ status: 502 })));
    await page.route('**/dashboard/now', (route) => {
      pages += 1;
      return pages > 2 ? route.continue() : route.fulfill({ contentType: 'text/html', body: '<p>Back soon</p>' });
    });
    await page.goto(`${service.url}/dashboard`);
    await shows(page, '#state', 'polling');
    await shows(page, '#state', 'live');
    expect(pages).toBeGreaterThan(2);
  });

  it('reconnects where its connection falls silent without an end', async () => {
    const service = await start();
    let feed: Socket | undefined;
    let feeds = 0;
    const network = createServer((client) => {
      const node = connect(service.port, '127.0.0.1');
      client.pipe(node).pipe(client);
      client.on('error', () => {}).on('close', () => node.destroy());
      node.on('error', () => {}).on('close', () => client.destroy());
      node.on('data', (sent) => {
        if (!sent.includes('application/x-ndjson')) return;
        feed = node;
        feeds += 1;
      });
    }).listen(0, '127.0.0.1');
    await once(network, 'listening');
    const page = await open({ ...service, url: `http://127.0.0.1:${(network.address() as AddressInfo).port}` } as Served);
    await shows(page, '#state', 'live');
    const before = feeds;
    feed?.unpipe().resume();
    // How long the page shows that the connection is lost depends on how soon it is back.
    await until(() => feeds > before);
    await shows(page, '#state', 'live');
    // What fell silent is gone by now, and nothing else was opened.
    await until(async () => ((await (await fetch(`${service.url}/dashboard/now`)).json()) as { viewers: number }).viewers === 1);
    await page.close();
    network.close();
  });

  it('has room for long ids and types on a phone, and gives a screen reader no counts', async () => {
    const service = await start();
    const page = await open(service, { viewport: { width: 390, height: 844 } });
    const id = 'a'.repeat(200);
    await page.fill('#follow-form [name=id]', id);
    await page.press('#follow-form [name=id]', 'Enter');
    await shows(page, '#follow-state', `${id}: following · no messages yet`);
    await publish(service, `${id}?type=${'t'.repeat(200)}`, 'a message that can be read');
    await shows(page, '#log li span', 'a message that can be read');
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBe(390);
    expect(await page.evaluate<number>("document.querySelector('#log span').getBoundingClientRect().width")).toBeGreaterThan(100);
    expect(await page.evaluate<boolean>("((log) => log.scrollWidth === log.clientWidth)(document.getElementById('log'))")).toBe(true);
    await publish(service, `${id}?type=shipped`, 'a message that is too long for what is left of the line');
    await until(async () => (await text(page, '#log li:first-child b')) === 'shipped');
    const lines = "((range) => (range.selectNodeContents(document.querySelector('#log b')), range.getClientRects().length))(new Range())";
    expect(await page.evaluate<number>(lines)).toBe(1);
    expect(await text(page, '#follow-state [role=status]')).toBe(`${id}: following`);
    expect(await page.$eval('#log', (log) => [log.role, log.ariaLive, log.tabIndex])).toEqual(['log', 'off', 0]);
  });

  withRedis('shows its workers, and that the broker is unavailable', async () => {
    const redis = await Engine.start('redis');
    const service = await start({ WORKERS: '2', FEED_BROKER: redis.url });
    await service.follow('/test/a', '/test/a', '/test/a', '/test/a');
    const page = await open(service);
    await shows(page, '#open', '5');
    expect(await page.$$eval('#workers tbody tr', (rows) => rows.length)).toBe(2);
    await until(async () => (await page.$$eval('#nodes tbody tr', (rows) => rows.length)) === 2);
    expect(await row(page, '#busiest', 'a')).toEqual(['a', '4']);
    await redis.kill();
    await until(async () => /^Redis has been unavailable since/.test((await text(page, '#notice')) ?? ''));
    await redis.restart();
    await until(async () => !(await page.isVisible('#notice')));
    await redis.stop();
  });

  it.each([
    ['light', 1280],
    ['dark', 1280],
    ['light', 320],
    ['dark', 320],
  ] as const)('has enough contrast and no overflow in the %s scheme, %d pixels wide', async (colorScheme, width) => {
    const service = await start();
    await service.follow('/test/a-feed-with-a-name/that-is-rather-long/so-that-it-has-to-be-broken', '/test/b');
    const page = await open(service, { colorScheme, viewport: { width, height: 800 } });
    await shows(page, '#open', '3');
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBe(width);
    const ratios = await page.evaluate<[string, number][]>(await readFile('test/support/contrast.js', 'utf8'));
    expect(ratios.length).toBeGreaterThan(30);
    // WCAG 2.2, success criterion 1.4.3
    expect(ratios.filter(([, ratio]) => ratio < 4.5)).toEqual([]);
    const ground = await page.evaluate<string>('getComputedStyle(document.body).backgroundColor');
    expect(ground).toBe(colorScheme === 'dark' ? 'rgb(18, 20, 21)' : 'rgb(246, 245, 242)');
    expect(complaints).toEqual([]);
  });
});
