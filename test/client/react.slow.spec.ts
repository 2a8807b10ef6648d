import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { Controller, Get, Header } from '@nestjs/common';
import { build } from 'esbuild';
import { type Browser, chromium, type Page } from 'playwright-core';
import { chromiumArgs, missing } from '../../tools/engines.mjs';
import { temporaryFolder } from '../support/ends.js';
import { closeAll, type ModuleOptions, publishKey, type Served, serveFeeds, until } from '../support/serve.js';
import type * as ReactPage from './react-page.js';
import type { Part } from './react-page.js';

const run = promisify(execFile);
const inBrowser = missing().includes('chromium') ? describe.skip : describe;

let html = '';

@Controller('page')
class PageController {
  @Get()
  @Header('Content-Type', 'text/html')
  page() {
    return `<!doctype html><title>t</title><div id="root">${html}</div>`;
  }
}

const options = { url: '/feeds', retry: { minMs: 10, maxMs: 100 } };
const withKey = { ...options, token: publishKey };

/** The page's own code, as React's developers run it: strict mode does nothing in production. */
async function bundle(version: string): Promise<string> {
  const alias: Record<string, string> = {};
  if (version !== 'newest') {
    const folder = await temporaryFolder();
    const names = ['react', 'react-dom'];
    const packages = names.map((name) => `${name}@${version}`);
    await run('npm', ['install', '--prefix', folder, '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', ...packages]);
    for (const name of names) alias[name] = join(folder, 'node_modules', name);
  }
  const { outputFiles } = await build({
    entryPoints: ['test/client/react-page.ts'],
    ...{ bundle: true, write: false, format: 'iife', globalName: 'page', logLevel: 'silent', alias },
    define: { 'process.env.NODE_ENV': '"development"' },
  });
  return (outputFiles[0] as { text: string }).text;
}

inBrowser.each([
  ['express', 'newest'],
  ['fastify', 'newest'],
  ['express', '18'],
] as const)('nestjs-feed/react in Chromium on %s, with React %s', (platform, version) => {
  const itInNewest = version === 'newest' ? it : it.skip;
  let browser: Browser;
  let script: string;
  let served: Served;
  let page: Page;

  beforeAll(async () => {
    script = await bundle(version);
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: chromiumArgs });
  });
  afterAll(() => browser?.close());
  const open = async (moduleOptions: ModuleOptions = {}, init: () => void = () => {}) => {
    served = await serveFeeds(platform, moduleOptions, { controllers: [PageController] });
    page = await browser.newPage();
    await page.addInitScript(init);
    await page.goto(`${served.url}/page`);
    await page.addScriptTag({ content: script });
  };
  afterEach(async () => {
    html = '';
    const errors = await page.evaluate(() => (globalThis as unknown as { page: typeof ReactPage }).page.seen.errors);
    await page.close();
    await closeAll();
    expect(errors).toEqual([]);
  });

  const show = (...parts: Part[]) =>
    page.evaluate(
      ([parts, options]) =>
        (globalThis as unknown as { page: typeof ReactPage }).page.show(parts as Part[], options as typeof options & { url: string }),
      [parts, options] as const,
    );
  const showWithClient = (...parts: Part[]) =>
    page.evaluate(
      ([parts, options]) =>
        (globalThis as unknown as { page: typeof ReactPage }).page.showWithClient(
          parts as Part[],
          options as typeof options & { url: string },
        ),
      [parts, options] as const,
    );
  const unmount = () => page.evaluate(() => (globalThis as unknown as { page: typeof ReactPage }).page.unmount());
  const seen = () => page.evaluate(() => (globalThis as unknown as { page: typeof ReactPage }).page.seen);
  const shown = async (id: string) => JSON.parse((await page.textContent(`#${id}`)) as string);
  const isFollowed = (...feeds: string[]) => until(() => feeds.every((feed) => served.feeds.subscribers(feed) === 1));
  const publish = (feed: string, data: unknown, type?: string) => served.feeds.publish(feed, data, { type });
  const count = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n);

  it('shows the newest message, over one connection although strict mode mounts twice', async () => {
    await open();
    await show({ id: 'a', kind: 'newest', feeds: 'prices/a' }, { id: 'b', kind: 'newest', feeds: ['prices/b'] });
    await isFollowed('prices/a', 'prices/b');
    expect(await shown('a')).toEqual({ ended: false });
    await publish('prices/a', 1);
    const second = await publish('prices/a', 2, 'price');
    await until(async () => (await shown('a')).message?.data === 2);
    expect(await shown('a')).toEqual({ message: second, ended: false });
    expect(await shown('b')).toEqual({ ended: false });
    expect(served.feeds.counts()).toMatchObject({ open: 1, opened: 1 });
  });

  it('reduces each message once and in order, and renders with new arrays and reducers without another connection', async () => {
    await open();
    for (const n of count(1, 5)) await publish(n % 2 ? 'odd' : 'even', n);
    const parts = [
      { id: 'all', kind: 'log', feeds: ['odd', 'even'], since: 'earliest' },
      { id: 'heard', kind: 'listener', feeds: ['odd', 'even'], since: 'earliest' },
    ] as const;
    await show(...parts);
    await isFollowed('odd', 'even').catch(() => {});
    await until(async () => (await shown('all')).state.length === 5);
    const { opened } = served.feeds.counts();
    for (const n of count(6, 20)) {
      await show(...parts.map((part) => ({ ...part, feeds: n % 2 ? ['even', 'odd'] : ['odd', 'even', 'odd'] })));
      await publish(n % 2 ? 'odd' : 'even', n);
    }
    await until(async () => (await shown('all')).state.length === 20);
    const { state } = await shown('all');
    const { heard } = await seen();
    const parity = (parity: number) => (n: number) => n % 2 === parity;
    for (const all of [state, heard.heard as number[]]) {
      expect(all.filter(parity(1))).toEqual(count(1, 20).filter(parity(1)));
      expect(all.filter(parity(0))).toEqual(count(1, 20).filter(parity(0)));
      expect(all.slice(5)).toEqual(count(6, 20));
    }
    expect(served.feeds.counts()).toMatchObject({ open: 1, opened });
  });

  it('begins anew with another feed, while other components miss nothing', async () => {
    await open({ historyLength: 100_000, historyBytes: 100_000_000 });
    const log = { id: 'log', kind: 'log', feeds: 'log' } as const;
    await show(log, { id: 'x', kind: 'newest', feeds: 'a' });
    await isFollowed('a', 'log');
    await publish('a', 'of a');
    await until(async () => (await shown('x')).message?.data === 'of a');
    let n = 0;
    let isOver = false;
    const publishing = (async () => {
      while (!isOver) {
        n += 1;
        await publish('log', n);
        await new Promise((resolve) => setTimeout(resolve, 1)); // history has room for minutes of that
      }
    })();
    await show(log, { id: 'x', kind: 'newest', feeds: 'b' });
    expect(await shown('x')).toEqual({ ended: false });
    await until(() => served.feeds.subscribers('b') === 1 && served.feeds.subscribers('a') === 0);
    await publish('b', 'of b');
    await until(async () => (await shown('x')).message?.data === 'of b');
    await show(log, { id: 'x', kind: 'newest', feeds: null });
    await until(() => served.feeds.subscribers('b') === 0);
    expect(await shown('x')).toEqual({ ended: false });
    isOver = true;
    await publishing;
    await until(async () => (await shown('log')).state.at(-1) === n);
    expect((await shown('log')).state).toEqual(count(1, n));
    expect(served.feeds.counts().open).toBe(1);
  });

  itInNewest('goes on from where it was when a component is hidden and shown again', async () => {
    await open();
    const part = { id: 'log', kind: 'log', feeds: 'a', since: 'earliest' } as const;
    await publish('a', 1);
    await show(part, { id: 'status', kind: 'status' });
    await until(async () => (await shown('log')).state.length === 1);
    await show({ ...part, isHidden: true }, { id: 'status', kind: 'status' });
    await until(() => served.feeds.subscribers('a') === 0);
    for (const n of count(2, 9)) await publish('a', n);
    await show(part, { id: 'status', kind: 'status' });
    await until(async () => (await shown('log')).state.length === 9);
    expect((await shown('log')).state).toEqual(count(1, 9));
  });

  it('tells of the end of feeds, and of errors', async () => {
    await open({ publishKey, public: false });
    const observer: Part = { id: 'observer', kind: 'observer', feeds: 'a' };
    await show({ id: 'a', kind: 'newest', feeds: 'a' }, observer, { id: 'status', kind: 'status' });
    await until(async () => (await shown('a')).error !== undefined);
    expect((await seen()).heard.observer).toEqual(['failed']);
    expect((await shown('status')).state).toBe('failed');
    await page.close();
    await closeAll();

    await open();
    await show({ id: 'a', kind: 'newest', feeds: 'a' }, { id: 'both', kind: 'log', feeds: ['a', 'b'] }, observer, {
      id: 'status',
      kind: 'status',
    });
    await isFollowed('a', 'b');
    await publish('a', 'last');
    await served.feeds.finish('a');
    await until(async () => (await shown('a')).ended);
    expect((await seen()).heard.observer).toEqual(['last', { reason: 'completed' }, 'complete']);
    expect((await shown('a')).message.data).toBe('last');
    await until(async () => (await shown('both')).state.length === 2);
    expect(await shown('both')).toEqual({ state: ['last', 'end'], ended: false });
    await served.feeds.finish('b');
    await until(async () => (await shown('both')).ended);
    await until(async () => (await shown('status')).state === 'ended');
    expect((await seen()).statuses.filter((state) => state !== 'idle').slice(0, 2)).toEqual(['connecting', 'live']);
  });

  it("closes the provider's client when that is unmounted for good, but not one that it was given", async () => {
    await open();
    const part = { id: 'a', kind: 'newest', feeds: 'a' } as const;
    for (const opened of [1, 2]) {
      await show(part);
      await isFollowed('a');
      await publish('a', opened);
      await until(async () => (await shown('a')).message?.data === opened);
      await unmount();
      await until(() => served.feeds.counts().open === 0);
      expect(served.feeds.counts().opened).toBe(opened);
    }
    await showWithClient(part);
    await isFollowed('a');
    await unmount();
    await until(() => served.feeds.counts().open === 0);
    await showWithClient(part);
    await isFollowed('a');
    await publish('a', 'again');
    await until(async () => (await shown('a')).message?.data === 'again');
  });

  it('publishes with the client of the provider', async () => {
    await open({ publishKey });
    const parts: Part[] = [
      { id: 'button', kind: 'publisher' },
      { id: 'said', kind: 'newest', feeds: 'said' },
    ];
    await page.evaluate(([parts, options]) => (globalThis as unknown as { page: typeof ReactPage }).page.show(parts, options), [
      parts,
      withKey,
    ] as const);
    await isFollowed('said');
    await page.click('#button');
    await until(async () => (await shown('said')).message?.data === 'clicked');
    expect(served.feeds.counts().opened).toBe(1);
  });

  it('renders once a frame, whatever comes, and all components of a feed at once', async () => {
    await open();
    await show({ id: 'a', kind: 'newest', feeds: 'a' }, { id: 'all', kind: 'log', feeds: 'a' });
    await isFollowed('a');
    await page.evaluate(() => {
      const { page, document, MutationObserver } = globalThis as unknown as {
        page: typeof ReactPage;
        document: { querySelector(selector: string): { textContent: string } };
        MutationObserver: new (callback: () => void) => { observe(target: unknown, options: object): void };
      };
      const read = (id: string) => JSON.parse(document.querySelector(id).textContent);
      new MutationObserver(() => {
        if (read('#a').message?.data !== read('#all').state.at(-1)) page.seen.errors.push('torn');
      }).observe(document.querySelector('#root'), { subtree: true, characterData: true, childList: true });
      page.countFrames();
    });
    const before = await seen();
    for (const n of count(1, 1000)) {
      await publish('a', n);
      if (n % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await until(async () => (await shown('all')).state.length === 1000);
    const after = await seen();
    const commits = (after.commits.all as number) - (before.commits.all ?? 0);
    expect(commits).toBeGreaterThan(0);
    expect(commits).toBeLessThan(500);
    expect(commits).toBeLessThanOrEqual(2 * after.frames + 5);
    expect(after.commits.a).toBe(after.commits.all);
  });

  it('renders where no frames are drawn, as in a hidden tab', async () => {
    await open({}, () => {
      (globalThis as unknown as { requestAnimationFrame: () => number }).requestAnimationFrame = () => 0;
    });
    await show({ id: 'all', kind: 'log', feeds: 'a' });
    await isFollowed('a');
    for (const n of count(1, 3)) {
      await publish('a', n);
      await until(async () => (await shown('all')).state.length === n);
    }
  });

  itInNewest('takes over what a server has rendered', async () => {
    const { renderToString } = createRequire(resolve('package.json'))('react-dom/server') as typeof import('react-dom/server');
    const { createElement } = await import('react');
    const { App } = await import('./react-page.js');
    const parts: Part[] = [
      { id: 'a', kind: 'newest', feeds: 'a' },
      { id: 'all', kind: 'log', feeds: ['a', 'b'] },
      { id: 'heard', kind: 'listener', feeds: 'a' },
      { id: 'status', kind: 'status' },
    ];
    html = renderToString(createElement(App, { parts, options }));
    expect(html).toContain('{&quot;state&quot;:[],&quot;ended&quot;:false}');
    expect(html).toContain('{&quot;state&quot;:&quot;idle&quot;}');
    await open();
    expect(served.feeds.counts().opened).toBe(0);
    await page.evaluate(
      ([parts, options]) =>
        (globalThis as unknown as { page: typeof ReactPage }).page.hydrate(parts as Part[], options as typeof options & { url: string }),
      [parts, options] as const,
    );
    await isFollowed('a', 'b');
    await publish('a', 1);
    await until(async () => (await shown('all')).state.length === 1);
    expect((await shown('a')).message.data).toBe(1);
    expect((await seen()).heard.heard).toEqual([1]);
    expect(served.feeds.counts().opened).toBe(1);
  });
});
