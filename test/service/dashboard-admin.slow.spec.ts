import { readFile } from 'node:fs/promises';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { Engine, missing } from '../../tools/engines.mjs';
import { adminKey } from '../support/admin.js';
import { inBrowser, useChromium } from '../support/chromium.js';
import { Peer } from '../support/peer.js';
import { Run, type Served } from '../support/run.js';
import { publishKey, until } from '../support/serve.js';
import { jwtSecret, sign } from '../support/tokens.js';

const withRedis = missing().includes('redis-server') ? it.skip : it;

const start = (env: Record<string, string> = {}) =>
  Run.service({ FEED_INTERVAL_MS: '0', FEED_PUBLISH_KEY: publishKey, FEED_ADMIN_KEY: adminKey, FEED_NODE_NAME: 'n', ...env });

/** What a client may send to be shown to operators. */
const hostile = `"><img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;

afterEach(() => Run.endAll());

inBrowser('the pages for operators in Chromium', () => {
  const browser = useChromium();
  let complaints: string[] = [];

  beforeEach(() => {
    complaints = [];
  });

  /** Opens a page, and notes whatever it complains of, less the answers that are errors. */
  async function visit(service: Served, path: string, options: BrowserContextOptions = {}): Promise<Page> {
    const page = await (await browser().newContext(options)).newPage();
    page.on('console', (message) => {
      if (!message.text().startsWith('Failed to load resource')) complaints.push(message.text());
    });
    page.on('pageerror', (error) => void complaints.push(String(error)));
    await page.goto(`${service.url}/dashboard${path}`);
    return page;
  }

  async function enterKey(page: Page, key: string): Promise<void> {
    await page.fill('#key-form [name=key]', key);
    await page.click('#key-form [type=submit]');
  }

  async function open(service: Served, path: string, options: BrowserContextOptions = {}): Promise<Page> {
    const page = await visit(service, path, options);
    await enterKey(page, adminKey);
    await until(() => page.isVisible('#content'));
    return page;
  }

  const text = (page: Page, selector: string) => page.textContent(selector);
  const shows = (page: Page, selector: string, wanted: string | RegExp) =>
    until(async () => {
      const shown = (await text(page, selector)) ?? '';
      return typeof wanted === 'string' ? shown === wanted : wanted.test(shown);
    });
  /** The first line of each row's cell. */
  const column = (page: Page, n: number) =>
    page.$$eval('#list tbody tr', (rows, at) => rows.map((row) => row.children[at]?.firstChild?.textContent ?? ''), n);
  const focused = (page: Page) => page.evaluate<string>('document.activeElement.id || document.activeElement.textContent');

  const follow = async (service: Served, path: string, sub: string, agent = 'tester') => {
    const token = await sign({ sub, feeds: '*' });
    const peer = await Peer.get(service.port, path, `Authorization: Bearer ${token}`, `User-Agent: ${agent}`);
    await peer.sees('\r\n\r\n');
    return peer;
  };

  it('search and sort connections, and end one, whose client is told so', async () => {
    const service = await start({ FEED_JWT_SECRET: jwtSecret });
    const alice = await follow(service, '/test/orders/1?format=sse', 'alice', hostile);
    const bob = await follow(service, '/test?id=orders/2&id=news', 'bob');
    await follow(service, '/test/orders/1', hostile);
    const page = await visit(service, '');
    await page.click('header nav >> text=Connections');
    await enterKey(page, adminKey);
    await shows(page, '#summary', '3 connections open');
    expect(await column(page, 0)).toEqual(['n-1', 'n-2', 'n-3']);
    expect(await text(page, '#list tbody tr:nth-child(1) small')).toBe(hostile);
    expect(await text(page, '#list tbody tr:nth-child(3) td')).toBe(hostile);
    expect(await page.$$eval('#list img, #list script', (all) => all.length)).toBe(0);

    await page.click('#list thead >> text=Subject');
    expect(await column(page, 1)).toEqual([hostile, 'alice', 'bob'].sort((a, b) => a.localeCompare(b, 'en', { numeric: true })));
    expect(await page.$eval('#list [data-key=subject]', (head) => head.parentElement?.ariaSort)).toBe('ascending');
    await page.click('#list thead >> text=Subject');
    expect((await column(page, 1))[0]).toBe('bob');
    expect(await page.$eval('#list [data-key=subject]', (head) => head.parentElement?.ariaSort)).toBe('descending');

    await page.fill('#search [name=subject]', 'alice');
    await page.fill('#search [name=feed]', 'orders/1');
    await page.click('#search [type=submit]');
    await shows(page, '#summary', '1 connection open that match');
    expect(page.url()).toBe(`${service.url}/dashboard/connections?subject=alice&feed=orders%2F1`);

    await page.click('#list tbody >> text=End…');
    expect(await text(page, 'dialog h2')).toBe('End connection n-1?');
    expect(await focused(page)).toBe('Cancel');
    await page.keyboard.press('Escape');
    expect(await page.isVisible('dialog')).toBe(false);
    expect(await focused(page)).toBe('End…');
    expect(alice.socket.destroyed).toBe(false);
    await page.keyboard.press('Enter');
    await page.fill('dialog [name=reason]', 'enough');
    await page.uncheck('dialog [name=reconnect]');
    await page.click('dialog [type=submit]');
    await alice.sees(/retry: 2147483647\n\n[\s\S]*"code":"FEED_DISCONNECTED","message":"enough"/);
    await alice.closed();
    await shows(page, '#summary', /^1 connection was ended\. /);
    expect(await focused(page)).toBe('summary');
    expect(bob.socket.destroyed).toBe(false);

    await page.selectOption('#search [name=state]', 'ended');
    await page.click('#search [type=submit]');
    await shows(page, '#summary', '1 connection ended that match');
    expect(await text(page, '#list tbody tr td:nth-child(5) small')).toMatch(/^ended by an operator, /);
    expect(await page.isVisible('#end-all')).toBe(false);

    await page.click('#search [type=reset]');
    await shows(page, '#summary', '2 connections open');
    await page.fill('#search [name=feed]', 'news');
    await page.press('#search [name=feed]', 'Enter');
    await shows(page, '#summary', '1 connection open that match');
    await page.click('#end-all');
    expect(await text(page, '#confirm-text')).toBe('All with feed news, on all nodes: also those that are not shown here.');
    await page.click('dialog [type=submit]');
    await bob.closed();
    await shows(page, '#summary', /^1 connection was ended\. No connection matches\.$/);
    await page.fill('#search [name=feed]', 'no id');
    await page.press('#search [name=feed]', 'Enter');
    await shows(page, '#notice', /^A feed's id is 1 to 200 characters/);
    expect(await page.title()).toBe('Connections – nestjs-feed');
    expect(complaints).toEqual([]);
  });

  it('ask again at once after a question was closed, and take the answer for the last one', async () => {
    const service = await start();
    const [peer] = await service.follow('/test/x');
    const page = await open(service, '/connections');
    await shows(page, '#summary', '1 connection open');
    const isAsked = await page.evaluate<boolean>(
      "const end = document.querySelector('#list tbody button'); end.click(); document.querySelector('dialog').close(); end.click(); document.querySelector('dialog[open]') !== null",
    );
    expect(isAsked).toBe(true);
    await page.click('dialog[open] [type=submit]');
    await shows(page, '#summary', /^1 connection was ended\. /);
    await peer?.closed();
    expect(await page.$$eval('dialog', (all) => all.length)).toBe(0);
  });

  it('tell what came of an answer whose question was closed meanwhile', async () => {
    const service = await start();
    const [peer] = await service.follow('/test/x');
    const page = await open(service, '/connections');
    await shows(page, '#summary', '1 connection open');
    service.child.kill('SIGSTOP');
    await page.click('#list tbody >> text=End…');
    await page.click('dialog [type=submit]');
    await page.keyboard.press('Escape');
    await until(async () => !(await page.isVisible('dialog')));
    service.child.kill('SIGCONT');
    await shows(page, '#summary', /^1 connection was ended\. /);
    await peer?.closed();
  });

  it('find a feed, show its history, publish to it and clear it', async () => {
    const service = await start({ FEED_HISTORY_LENGTH: '60' });
    const [peer] = await service.follow('/test/orders/1?format=sse');
    for (let n = 1; n <= 55; n += 1) expect((await service.publish('/test/orders/1', `${n}`)).status).toBe(201);
    await service.publish('/test/orders/2', hostile);
    await service.publish('/test/other?end', '');
    const page = await open(service, '/feeds');
    await shows(page, '#summary', '3 feeds.');
    await page.fill('#search [name=prefix]', 'orders/');
    await page.click('#search [type=submit]');
    await shows(page, '#summary', '2 feeds that begin with orders/.');
    await page.click('#list thead >> text=Messages stored');
    expect(await column(page, 0)).toEqual(['orders/1', 'orders/2']);
    await page.click('#list thead >> text=Messages stored');
    expect(await column(page, 0)).toEqual(['orders/2', 'orders/1']);

    await page.click('#list tbody >> text=orders/2');
    await shows(page, '#feed-title', 'orders/2');
    expect(await text(page, '#log li span')).toBe(hostile);
    await page.click('#list tbody >> text=orders/1');
    await shows(page, '#feed-title', 'orders/1');
    expect(await focused(page)).toBe('feed-title');
    expect(await text(page, '#feed-facts')).toBe('1 subscriber · open');
    expect(await text(page, '#history-more')).toMatch(/^55 stored, .* · the 50 newest$/);
    expect(await text(page, '#log li:first-child span')).toBe('55');

    await page.fill('#publish [name=type]', 'shipped');
    await page.selectOption('#publish [name=format]', 'application/json');
    await page.fill('#publish [name=data]', '{"parcels":');
    await page.click('#publish [type=submit]');
    await shows(page, '#notice', /^The body must be JSON/);
    await page.fill('#publish [name=data]', '{"parcels":2}');
    await page.click('#publish [type=submit]');
    await shows(page, '#published', 'Published. The node that answered has 1 subscriber.');
    expect(await page.isVisible('#notice')).toBe(false);
    await peer?.sees('event: shipped\ndata: {"parcels":2}');
    await shows(page, '#log li:first-child span', '{"parcels":2}');
    expect(await text(page, '#log li:first-child b')).toBe('shipped');

    await page.click('#clear');
    expect(await text(page, 'dialog h2')).toBe('Clear orders/1?');
    expect(await page.isVisible('dialog [name=reason]')).toBe(false);
    await page.click('dialog >> text=Cancel');
    expect(await page.isVisible('#log')).toBe(true);
    await page.click('#clear');
    await page.click('dialog [type=submit]');
    await shows(page, '#history-more', 'Nothing is stored.');
    await peer?.sees('event: reset');
    await page.reload();
    await shows(page, '#feed-title', 'orders/1');
    await page.click('#connections');
    await shows(page, '#summary', '1 connection open that match');
    expect(await page.inputValue('#search [name=feed]')).toBe('orders/1');

    await page.goto(`${service.url}/dashboard/feeds?prefix=new/one`);
    await shows(page, '#summary', 'No feed that begins with new/one has subscribers or history.');
    await page.click('#open-one');
    await page.fill('#publish [name=data]', 'hello');
    await page.click('#publish [type=submit]');
    await shows(page, '#summary', '1 feed that begins with new/one.');
    expect(complaints).toEqual([]);
  });

  it('show many feeds page by page', async () => {
    const service = await start();
    for (let n = 0; n < 120; n += 1) await service.publish(`/test/f${n}`, 'x');
    const page = await open(service, '/feeds');
    await shows(page, '#summary', '100 feeds, and more.');
    await page.click('#more');
    await shows(page, '#summary', '120 feeds.');
    expect(await page.isVisible('#more')).toBe(false);
    expect(new Set(await column(page, 0)).size).toBe(120);
  });

  it('ask for the key, take no wrong one, and forget it', async () => {
    const service = await start({ FEED_JWT_SECRET: jwtSecret });
    const page = await visit(service, '/connections');
    expect(await page.isVisible('#content')).toBe(false);
    for (const wrong of ['wrong', publishKey]) {
      await enterKey(page, wrong);
      await shows(page, '#key-form .error', 'The key is wrong.');
      expect(await page.isVisible('#content')).toBe(false);
    }
    await enterKey(page, await sign({ feeds: '*' }));
    await shows(page, '#key-form .error', 'The token does not have the claim "admin": true.');
    await enterKey(page, await sign({ admin: true }));
    await shows(page, '#summary', 'No connection is open.');
    await page.click('header nav >> text=Nodes');
    await shows(page, '#summary', '1 node, 0 connections open');
    expect(page.url()).toBe(`${service.url}/dashboard/nodes`);
    expect(await page.evaluate<number>('localStorage.length + document.cookie.length')).toBe(0);
    await page.click('#lock');
    await until(() => page.isVisible('#key-form'));
    expect(await page.evaluate<number>('sessionStorage.length')).toBe(0);
    const other = await visit(service, '/nodes');
    await until(() => other.isVisible('#key-form'));
    expect(complaints).toEqual([]);
  });

  it('say what is missing: routes for operators, and a service that answers', async () => {
    const without = await start({ FEED_ADMIN_KEY: '' });
    const closed = await visit(without, '/feeds');
    await shows(closed, '#absent h2', 'Not available');
    expect(await closed.isVisible('#absent')).toBe(true);
    expect(await closed.isVisible('#key-form')).toBe(false);
    const service = await start();
    const page = await open(service, '/connections');
    await shows(page, '#summary', 'No connection is open.');
    service.child.kill('SIGKILL');
    await service.exit;
    await page.click('#search [type=submit]');
    await shows(page, '#notice', 'The service does not respond.');
  });

  withRedis('show all nodes, and which of them does not answer', async () => {
    const redis = await Engine.start('redis');
    const [a, b] = [
      await start({ FEED_BROKER: redis.url, FEED_NODE_NAME: 'a' }),
      await start({ FEED_BROKER: redis.url, FEED_NODE_NAME: 'b' }),
    ];
    await b.follow('/test/x', '/test/x');
    await a.follow('/test/x');
    const page = await open(a, '/nodes');
    await until(async () => {
      await page.click('#refresh');
      return (await text(page, '#summary')) === '2 nodes, 3 connections open';
    });
    expect(await column(page, 0)).toEqual(['a', 'b']);
    await page.click('#list thead >> text=Open >> nth=0');
    expect(await column(page, 1)).toEqual(['2', '1']);
    await page.click('#list tbody >> text=b');
    await shows(page, '#summary', '2 connections open that match');
    await page.click('header nav >> text=Feeds');
    await page.click('#list tbody >> text=x');
    await shows(page, '#feed-facts', '3 subscribers (a: 1, b: 2) · open');
    b.child.kill('SIGSTOP');
    await page.goto(`${a.url}/dashboard/connections`);
    await shows(page, '#missing', 'No answer from b: connections of these nodes are not listed.');
    await shows(page, '#summary', '1 connection open');
    b.child.kill('SIGCONT');
    expect(complaints).toEqual([]);
    await redis.stop();
  });

  it.each([
    ['light', 1280],
    ['dark', 1280],
    ['light', 390],
    ['dark', 390],
    ['light', 320],
  ] as const)('have enough contrast and no overflow in the %s scheme, %d pixels wide', async (colorScheme, width) => {
    const service = await start({ FEED_JWT_SECRET: jwtSecret });
    const long = `${'a'.repeat(100)}/${'b'.repeat(90)}`;
    await follow(service, `/test/${long}`, 'x'.repeat(150), 'y'.repeat(300));
    await follow(service, '/test?id=1&id=2&id=3', hostile, hostile);
    await service.publish(`/test/${long}`, 'z'.repeat(1000));
    const measure = await readFile('test/support/contrast.js', 'utf8');
    const page = await open(service, '/connections', { colorScheme, viewport: { width, height: 800 } });
    const isFine = async () => {
      expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBe(width);
      // WCAG 2.2, success criterion 1.4.3
      const ratios = await page.evaluate<[string, number][]>(measure);
      expect(ratios.length).toBeGreaterThan(10);
      expect(ratios.filter(([, ratio]) => ratio < 4.5)).toEqual([]);
    };
    await shows(page, '#summary', '2 connections open');
    await isFine();
    await page.click('#list tbody >> text=End… >> nth=0');
    await isFine();
    await page.goto(`${service.url}/dashboard/feeds?id=${encodeURIComponent(long)}`);
    await shows(page, '#feed-title', long);
    await isFine();
    await page.goto(`${service.url}/dashboard/nodes`);
    await shows(page, '#summary', '1 node, 2 connections open');
    await isFine();
    expect(complaints).toEqual([]);
  });
});
