import { type Browser, chromium, type Page } from 'playwright-core';
import { chromiumArgs, missing } from '../../tools/engines.mjs';
import { Run } from '../support/run.js';
import { until } from '../support/until.js';

const inBrowser = missing().includes('chromium') ? describe.skip : describe;

afterEach(() => Run.endAll());

inBrowser('the examples in Chromium', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: chromiumArgs });
  });
  afterAll(() => browser?.close());

  const text = async (page: Page, selector: string) => (await page.textContent(selector)) ?? '';
  const words = async (page: Page) => (await text(page, '#answer')).split(' ').length - 1;

  it('tokens: an answer goes on after a reload and in another tab, is stopped from there, and ends for good', async () => {
    const example = await Run.serving(['tools/example.mjs', 'tokens'], /open http:\/\/\S+:\d+/);
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
    // Each tab comes back once, and is told that there is nothing more.
    for (const tab of [page, other]) await until(async () => (await text(tab, '#state')).includes('closed for good'));

    await page.click('button.main');
    await until(async () => (await text(page, '#state')).startsWith('completed'));
    const whole = await text(page, '#answer');
    expect(whole).toMatch(/^You asked: “Why do answers get lost on reload\?”\. .* it stops in all\. $/);
    await page.reload();
    await until(async () => (await text(page, '#state')).startsWith('completed'));
    expect(await text(page, '#answer')).toBe(whole);
  });
});
