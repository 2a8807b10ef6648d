import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { SignJWT } from 'jose';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { chromiumArgs, Engine, missing } from '../../tools/engines.mjs';
import { Peer } from '../support/peer.js';
import { Run } from '../support/run.js';
import { platforms, until } from '../support/serve.js';

const publishKey = 'the-publish-key';
const jwtSecret = 'a secret of thirty-two bytes, no less';

// tools/engines.mjs, which the test command runs first, says so where these are missing
const absent = missing();
const inBrowser = absent.includes('chromium') ? describe.skip : describe;
const withRedis = absent.includes('redis-server') ? it.skip : it;

type Service = Awaited<ReturnType<typeof Run.service>>;

const start = (env: Record<string, string> = {}): Promise<Service> =>
  Run.service({ FEED_INTERVAL_MS: '0', FEED_PUBLISH_KEY: publishKey, ...env });

/** Opens feeds; their heads are there, so that they count. */
async function follow(service: Service, ...feeds: string[]): Promise<Peer[]> {
  const peers = await Promise.all(feeds.map((feed) => Peer.get(service.port, `/test/${feed}`)));
  for (const peer of peers) await peer.sees('\r\n\r\n');
  return peers;
}

async function publish(service: Service, feed: string, data: unknown): Promise<void> {
  const headers = { authorization: `Bearer ${publishKey}`, 'content-type': 'application/json' };
  const { status } = await fetch(`${service.url}/test/${feed}`, { method: 'POST', headers, body: JSON.stringify(data) });
  expect(status).toBe(201);
}

const post = (service: Service, key: string) =>
  fetch(`${service.url}/dashboard/key`, { method: 'POST', body: new URLSearchParams({ key }), redirect: 'manual' });

afterEach(() => {
  Peer.leaveAll();
  Run.endAll();
});

describe.each(platforms)('the dashboard on %s', (platform) => {
  it('is a page that needs no other host, and nothing that its policy forbids', async () => {
    const service = await start({ FEED_ADAPTER: platform, FEED_PATH: '/deep/path/' });
    const page = await fetch(`${service.url}/dashboard`);
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
    const policy = page.headers.get('content-security-policy');
    expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain('unsafe');
    expect(page.headers.get('x-content-type-options')).toBe('nosniff');
    expect(page.headers.get('referrer-policy')).toBe('no-referrer');
    const html = await page.text();
    expect(html).toContain('data-feeds="deep/path"');
    expect(html).not.toMatch(/<script>|<style|\s(?:on\w+|style)=|https?:/);
    const named = [...html.matchAll(/(?:src|href)="(dashboard\/[^"]+)"/g)].map(([, path]) => path as string);
    const folder = 'src/service/dashboard/page';
    const own = (await readdir(folder)).filter((name) => !name.endsWith('.html'));
    for (const path of [...named, ...own.map((name) => `dashboard/files/${name}`)]) {
      const file = await fetch(`${service.url}/${path}`);
      expect([path, file.status, file.headers.get('x-content-type-options')]).toEqual([path, 200, 'nosniff']);
      const [name = '', kind = ''] = (path.split('/').at(-1) ?? '').split('.');
      expect(file.headers.get('content-type')).toContain({ js: 'text/javascript', css: 'text/css', svg: 'image/svg+xml' }[kind]);
      const text = await file.text();
      if (name !== 'uplot') expect(text).toBe(await readFile(`${folder}/${name}.${kind}`, 'utf8'));
    }
    for (const path of ['files/index.html', 'files/..%2Fdashboard.module.js', 'files/constructor', 'other']) {
      expect([path, (await fetch(`${service.url}/dashboard/${path}`)).status]).toEqual([path, 404]);
    }
    const slash = await fetch(`${service.url}/dashboard/`, { redirect: 'manual' });
    expect([slash.status, slash.headers.get('location')]).toEqual([308, '../dashboard']);
  });

  it('tells its numbers each second, to all alike, and only while somebody looks', async () => {
    const service = await start({ FEED_ADAPTER: platform, FEED_MAX_CONNECTIONS: '50' });
    await follow(service, 'a', 'a', 'b');
    const viewers = await Promise.all([1, 2].map(() => Peer.get(service.port, '/dashboard/feed', 'Accept: application/x-ndjson')));
    for (const viewer of viewers) await until(() => viewer.body.split('\n').length > 3);
    const told = JSON.parse(viewers[0]?.body.split('\n')[2] ?? '').data;
    expect(told).toMatchObject({
      counts: { open: 5, limit: 50, feeds: 2 },
      viewers: 2,
      isDraining: false,
      broker: { name: 'memory' },
      busiest: [
        { id: 'a', followers: 2 },
        { id: 'b', followers: 1 },
      ],
      workers: [{ number: 1, open: 5 }],
      nodes: [{ open: 5 }],
    });
    expect(viewers[1]?.body).toContain(`"time":${told.time},`);
    for (const viewer of viewers) viewer.leave();
    await until(async () => ((await (await fetch(`${service.url}/dashboard/now`)).json()) as { viewers: number }).viewers === 0);
    // Nobody can put numbers of their own there.
    expect((await fetch(`${service.url}/dashboard/feed`, { method: 'POST' })).status).toBe(404);
  });

  it('can be off, and leaves its place to feeds that are there', async () => {
    const service = await start({ FEED_ADAPTER: platform, FEED_DASHBOARD: 'off' });
    for (const path of ['', '/now', '/feed', '/files/app.js']) expect((await fetch(`${service.url}/dashboard${path}`)).status).toBe(404);
    const other = await start({ FEED_ADAPTER: platform, FEED_PATH: 'dashboard' });
    await until(() => other.err === '/dashboard is not served: FEED_PATH uses the same path\n');
    const peer = await Peer.get(other.port, '/dashboard/42');
    await peer.sees('200 OK');
  });

  it('keeps its numbers for those who have its key', async () => {
    const service = await start({ FEED_ADAPTER: platform, FEED_DASHBOARD_KEY: 'open sesame'.replace(' ', '-') });
    const closed = await fetch(`${service.url}/dashboard`);
    expect([closed.status, closed.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="dashboard"']);
    expect(await closed.text()).toContain('type="password"');
    for (const path of ['now', 'feed']) {
      const refused = await fetch(`${service.url}/dashboard/${path}`);
      expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([401, 'DASHBOARD_KEY']);
    }
    const wrong = await post(service, 'open-barley');
    expect([wrong.status, wrong.headers.get('location'), wrong.headers.get('set-cookie')]).toEqual([303, '../dashboard?wrong', null]);
    expect((await post(service, 'x'.repeat(100_000)).catch(() => undefined))?.headers.get('set-cookie') ?? null).toBe(null);
    const right = await post(service, 'open-sesame');
    expect([right.status, right.headers.get('location')]).toEqual([303, '../dashboard']);
    const cookie = right.headers.get('set-cookie') ?? '';
    expect(cookie).toMatch(/^feed_dashboard=[\w-]{43}; HttpOnly; SameSite=Strict$/);
    const status = async (headers: Record<string, string>) => (await fetch(`${service.url}/dashboard/now`, { headers })).status;
    expect(await status({ cookie: `other=1; ${cookie.split(';')[0]}` })).toBe(200);
    expect(await status({ cookie: 'feed_dashboard=open-sesame' })).toBe(401);
    expect(await status({ authorization: 'Bearer open-sesame' })).toBe(200);
    expect(await status({ authorization: 'Bearer open-barley' })).toBe(401);
  });

  it('does not tell who follows what where a token decides that, unless it has a key', async () => {
    const env = { FEED_ADAPTER: platform, FEED_JWT_SECRET: jwtSecret };
    const open = await start(env);
    expect(await (await fetch(`${open.url}/dashboard/now`)).json()).toMatchObject({ busiest: null });
    const keyed = await start({ ...env, FEED_DASHBOARD_KEY: 'key' });
    const headers = { authorization: 'Bearer key' };
    expect(await (await fetch(`${keyed.url}/dashboard/now`, { headers })).json()).toMatchObject({ busiest: [] });
  });
});

it('without the package for its charts, the service runs without a dashboard, and says so', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'dashboard-'));
  await cp('dist', join(folder, 'dist'), { recursive: true });
  await cp('package.json', join(folder, 'package.json'));
  await mkdir(join(folder, 'node_modules'));
  for (const name of await readdir('node_modules')) {
    if (name !== 'uplot') await symlink(resolve('node_modules', name), join(folder, 'node_modules', name));
  }
  const run = Run.node([join(folder, 'dist/main.js')], { PORT: '0' });
  await until(() => run.err === '/dashboard is not served: it needs npm install uplot\n');
  const url = /http:\/\/\S+:\d+/.exec(run.out)?.[0] ?? '';
  expect((await fetch(`${url}/dashboard`)).status).toBe(404);
  expect((await fetch(`${url}/metrics`)).status).toBe(200);
  await rm(folder, { recursive: true });
});

inBrowser('in a browser, the dashboard', () => {
  let browser: Browser;
  let complaints: string[] = [];

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: chromiumArgs });
  });
  afterAll(() => browser?.close());
  beforeEach(() => {
    complaints = [];
  });
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
  });

  /** Opens the dashboard, and notes whatever the page complains of: what its policy forbids is among that. */
  async function open(service: Service, options: BrowserContextOptions = {}): Promise<Page> {
    const page = await (await browser.newContext(options)).newPage();
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

  it('counts as connections open and close', async () => {
    const service = await start();
    const page = await open(service);
    await shows(page, '#state', 'live');
    await shows(page, '#open', '1');
    expect(await page.isVisible('#no-connections')).toBe(true);
    expect(await text(page, '#curl')).toBe(`curl -N ${service.url}/test/42`);
    const [first] = await follow(service, 'a', 'a', 'b');
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

  it('has the feed that is followed go on where it broke off', async () => {
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

  it('is driven by keys alone', async () => {
    const service = await start();
    await follow(service, 'news');
    const page = await open(service);
    await until(() => page.isVisible('#busiest button'));
    await page.keyboard.press('Tab');
    expect(await page.evaluate<string>('document.activeElement.className')).toBe('skip');
    await page.keyboard.press('Tab');
    expect(await page.evaluate<string>('document.activeElement.textContent')).toBe('news');
    // Whoever is about to pick one finds it where it was, whatever becomes busier.
    await follow(service, 'other', 'other', 'other');
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

  it('follows with a token where one is needed', async () => {
    const service = await start({ FEED_JWT_SECRET: jwtSecret });
    const token = await new SignJWT({ feeds: 'a', publish: 'a' }).setProtectedHeader({ alg: 'HS256' }).sign(Buffer.from(jwtSecret));
    const page = await open(service);
    await page.fill('#follow-form [name=id]', 'a');
    await page.press('#follow-form [name=id]', 'Enter');
    await shows(page, '#follow-state', 'a: Reading needs the publish key or a token.');
    await page.fill('#follow-form [name=token]', token);
    await page.press('#follow-form [name=token]', 'Enter');
    await shows(page, '#follow-state', 'a: following · no messages yet');
    expect(await text(page, '#busiest-more')).toContain('FEED_DASHBOARD_KEY');
  });

  it('says that all connections are taken, and goes on without one', async () => {
    const service = await start({ FEED_MAX_CONNECTIONS: '2' });
    const [first] = await follow(service, 'a', 'b');
    const page = await open(service);
    await shows(page, '#state', 'polling');
    await shows(page, '#notice', 'All 2 connections are taken, so this page polls every two seconds.');
    await shows(page, '#open', '2');
    first?.leave();
    await shows(page, '#state', 'live');
    expect(await page.isVisible('#notice')).toBe(false);
  });

  it('says that the service is gone, and finds it again', async () => {
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

  it('asks again where something else answered in the place of the service', async () => {
    const service = await start();
    const page = await (await browser.newContext()).newPage();
    let pages = 0;
    await page.route('**/dashboard/feed', (route) => (pages > 1 ? route.continue() : route.fulfill({ status: 502 })));
    await page.route('**/dashboard/now', (route) => {
      pages += 1;
      return pages > 2 ? route.continue() : route.fulfill({ contentType: 'text/html', body: '<p>Back soon</p>' });
    });
    await page.goto(`${service.url}/dashboard`);
    await shows(page, '#state', 'polling');
    await shows(page, '#state', 'live');
    expect(pages).toBe(3);
  });

  it('opens another connection where one falls silent without an end', async () => {
    const service = await start();
    let feed: Socket | undefined;
    const network = createServer((client) => {
      const node = connect(service.port, '127.0.0.1');
      client.pipe(node).pipe(client);
      client.on('error', () => {}).on('close', () => node.destroy());
      node.on('error', () => {}).on('close', () => client.destroy());
      node.on('data', (sent) => {
        if (sent.includes('text/event-stream')) feed = node;
      });
    }).listen(0, '127.0.0.1');
    await once(network, 'listening');
    const page = await open({ ...service, url: `http://127.0.0.1:${(network.address() as AddressInfo).port}` } as Service);
    await shows(page, '#state', 'live');
    feed?.unpipe().resume();
    await shows(page, '#state', 'connection lost');
    await until(async () => (await text(page, '#state')) !== 'connection lost');
    await shows(page, '#state', 'live');
    // What fell silent is gone by now, and nothing else was opened.
    await until(async () => ((await (await fetch(`${service.url}/dashboard/now`)).json()) as { viewers: number }).viewers === 1);
    await page.close();
    network.close();
  });

  it('has room for an id and a type of any length on a phone, and tells a screen reader no counts', async () => {
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
    await follow(service, 'a', 'a', 'a', 'a');
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
  ] as const)('can be read, %s, %d pixels wide', async (colorScheme, width) => {
    const service = await start();
    await follow(service, 'a-feed-with-a-name/that-is-rather-long/so-that-it-has-to-be-broken', 'b');
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
