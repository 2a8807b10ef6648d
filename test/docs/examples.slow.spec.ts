import { type Browser, chromium, type Page } from 'playwright-core';
import { chromiumArgs, Engine, missing } from '../../tools/engines.mjs';
import { Run, type Served } from '../support/run.js';
import { until } from '../support/until.js';

const absent = missing();
const inBrowser = absent.includes('chromium') ? describe.skip : describe;
const withRedis = absent.includes('redis-server') ? it.skip : it;

afterEach(() => Run.endAll());

inBrowser('the examples in Chromium', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: chromiumArgs });
  });
  afterAll(() => browser?.close());

  const start = (name: string, env: Record<string, string> = {}) => Run.serving(['tools/example.mjs', name], /open http:\/\/\S+:\d+/, env);
  const text = async (page: Page, selector: string) => (await page.textContent(selector)) ?? '';
  const words = async (page: Page) => (await text(page, '#answer')).split(' ').length - 1;

  it('tokens: an answer goes on after a reload and in another tab, is stopped from there, and ends for good', async () => {
    const example = await start('tokens');
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(example.url);
    await page.click('button.main');
    await until(async () => (await words(page)) > 5);
    const before = await text(page, '#answer');
    await page.reload();
    await until(async () => (await text(page, '#answer')).length > before.length);
    expect((await text(page, '#answer')).startsWith(before)).toBe(true);

    const other = await context.newPage();
    await other.goto(page.url());
    await until(async () => (await words(other)) > 5);
    await other.click('#stop');
    for (const tab of [page, other]) await until(async () => (await text(tab, '#state')).startsWith('stopped'));
    expect(await text(page, '#answer')).toBe(await text(other, '#answer'));
    for (const tab of [page, other]) await until(async () => (await text(tab, '#status')) === 'ended');

    await page.click('button.main');
    await until(async () => (await text(page, '#state')).startsWith('completed'));
    const whole = await text(page, '#answer');
    expect(whole).toMatch(/^You asked: “Why do answers get lost on reload\?”\. .* it stops in all\. $/);
    await page.reload();
    await until(async () => (await text(page, '#state')).startsWith('completed'));
    expect(await text(page, '#answer')).toBe(whole);
    await until(async () => (await text(page, '#status')) === 'ended');
  });

  it('prices: go on when the server is restarted', async () => {
    const example = await start('prices');
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(String(error)));
    const prices = () => page.$$eval('li output', (all) => all.map((one) => Number(one.textContent)));
    await page.goto(example.url);
    await until(async () => (await prices()).every((price) => price > 0));
    example.child.kill('SIGKILL');
    await until(async () => (await text(page, '#status')) === 'waiting');
    const before = await prices();
    await start('prices', { PORT: `${example.port}` });
    await until(async () => (await prices()).every((price, n) => price !== before[n]));
    expect(complaints).toEqual([]);
  });

  it('progress: a job is shown from where it is, and to its end', async () => {
    const example = await start('progress');
    const page = await browser.newPage();
    await page.goto(example.url);
    await page.click('button');
    await until(async () => (await text(page, 'output')).startsWith('step'));
    await page.reload();
    await until(async () => (await text(page, 'output')).startsWith('step'));
    await until(async () => (await text(page, 'output')) === 'all 40 steps done');
    expect(await page.isEnabled('button')).toBe(true);
    await page.reload();
    await until(async () => (await text(page, 'output')) === 'all 40 steps done');
    await page.goto(`${example.url}/#unknown`);
    await page.reload();
    await until(async () => (await text(page, 'output')) === 'this job no longer exists');
  });

  withRedis('redis: what is drawn in one process is seen in another, also by those who come later', async () => {
    const redis = await Engine.start('redis');
    const [one, other] = [await start('redis', { REDIS_URL: redis.url }), await start('redis', { REDIS_URL: redis.url })];
    const pages = [await browser.newPage(), await browser.newPage(), await browser.newPage()];
    const [first, second, third] = pages as [Page, Page, Page];
    const pixels = "((canvas) => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0))";
    const isDrawn = (page: Page) => page.evaluate<boolean>(`${pixels}(document.querySelector('canvas'))`);
    await first.goto(one.url);
    await second.goto(other.url);
    for (const page of [first, second]) await until(async () => (await text(page, '#status')) === 'live');
    await until(async () => (await second.$$eval('li', (all) => all.length)) === 2);
    expect(await isDrawn(second)).toBe(false);
    await first.click('canvas');
    for (const page of [first, second]) await until(() => isDrawn(page));
    await third.goto(other.url);
    await until(() => isDrawn(third));
    await redis.stop();
  });

  describe('chat', () => {
    const said = (page: Page) => page.$$eval('#said li', (items) => items.map((item) => item.lastChild?.textContent));
    const shows = (page: Page, ...wanted: string[]) => until(async () => `${await said(page)}` === `${wanted}`);

    async function enter(example: Served, name: string): Promise<Page> {
      const page = await (await browser.newContext()).newPage();
      await page.goto(example.url);
      await page.fill('#join input', name);
      await page.click('#join button');
      await until(async () => (await text(page, '#status')) === 'live');
      return page;
    }

    async function say(page: Page, ...messages: string[]): Promise<void> {
      for (const message of messages) {
        await page.fill('#say input', message);
        await page.press('#say input', 'Enter');
      }
    }

    /** Two people talk, the server is killed, and one of them goes on. */
    async function restart(env: Record<string, string> = {}): Promise<Served> {
      const example = await start('chat', env);
      const [ann, bob] = [await enter(example, 'ann'), await enter(example, 'bob')];
      await say(ann, 'one');
      for (const page of [ann, bob]) await shows(page, 'one');
      example.child.kill('SIGKILL');
      for (const page of [ann, bob]) await until(async () => (await text(page, '#status')) === 'waiting');
      await say(ann, 'two', 'three');
      const again = await start('chat', { ...env, PORT: `${example.port}` });
      for (const page of [ann, bob]) await shows(page, 'one', 'two', 'three');
      await say(bob, 'four');
      for (const page of [ann, bob]) {
        await shows(page, 'one', 'two', 'three', 'four');
        await until(async () => `${(await page.$$eval('#here li', (all) => all.map((one) => one.textContent))).sort()}` === 'ann,bob');
      }
      return again;
    }

    it('shows all that is said once and in order, also what is said while its server is down', async () => {
      await restart();
    });

    withRedis('on Redis, shows those who come later what was said before a restart', async () => {
      const redis = await Engine.start('redis');
      const example = await restart({ REDIS_URL: redis.url });
      await shows(await enter(example, 'eve'), 'one', 'two', 'three', 'four');
      await redis.stop();
    });
  });
});
