import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { Controller, Get, Header } from '@nestjs/common';
import { inBrowser, useChromium } from '../support/chromium.js';
import { atEnd } from '../support/ends.js';
import { closeAll, platforms, type Served, serveFeeds, until } from '../support/serve.js';

@Controller('page')
class PageController {
  @Get()
  @Header('Content-Type', 'text/html')
  page() {
    return '<!doctype html><title>t</title>';
  }
}

const long = (word: string) => `${`${word} `.repeat(200)}.`;
const requests: string[] = [];

const start = (platform: (typeof platforms)[number]) =>
  serveFeeds(platform, { compress: { minBytes: 100 } }, { controllers: [PageController] }, (app) =>
    app.use((request: { url: string; headers: Record<string, string> }, _response: unknown, next: () => void) => {
      requests.push(`${request.url} ${request.headers['accept-encoding']}`);
      next();
    }),
  );

inBrowser('Chromium', () => {
  const browser = useChromium();
  afterEach(closeAll);

  /** Has a page read a response; what it has so far is `seen`, and `over` behind it once it is over. */
  const reading = async (page: string, path: string) => {
    const tab = await browser().newPage();
    await tab.goto(page);
    await tab.evaluate(async (url) => {
      const state = { seen: '' };
      (globalThis as unknown as { state: typeof state }).state = state;
      const response = await fetch(url);
      state.seen = `${response.headers.get('content-encoding')}: `;
      const reader = (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream() as never).getReader();
      const read = async () => {
        for (;;) {
          const { done, value } = (await reader.read()) as { done: boolean; value: string };
          if (done) break;
          state.seen += value;
        }
        state.seen += 'over';
      };
      read().catch((error) => {
        state.seen += `failed: ${error.name}`;
      });
    }, path);
    return () => tab.evaluate(() => (globalThis as unknown as { state: { seen: string } }).state.seen);
  };

  it.each(platforms)('reads each message of fetch() and EventSource on %s as soon as it has come', async (platform) => {
    const served: Served = await start(platform);
    const seen = await reading(`${served.url}/page`, '/feeds/a?format=ndjson');
    const tab = await browser().newPage();
    await tab.goto(`${served.url}/page`);
    await tab.evaluate(() => {
      const events: string[] = [];
      Object.assign(globalThis, { events });
      const source = new EventSource('/feeds/a');
      source.onmessage = ({ data }) => events.push(data);
    });
    const events = () => tab.evaluate(() => (globalThis as unknown as { events: string[] }).events);
    await until(() => served.feeds.counts().open === 2);
    const sent: string[] = [];
    for (const text of ['short', long('one'), 'x'.repeat(70_000), long('two')]) {
      sent.push(text);
      await served.feeds.publish('a', text);
      await until(async () => (await seen()).includes(`"${text}"`));
      await until(async () => (await events()).length === sent.length);
    }
    expect(await events()).toEqual(sent);
    served.feeds.end('a');
    await until(async () => (await seen()).endsWith('over'));
    expect(await seen()).toMatch(/^gzip: /);
    expect(requests.filter((request) => /^\/feeds\/a.* gzip/.test(request)).length).toBeGreaterThanOrEqual(2);
  });

  it('reads the first member of a gzip response and no other, so that a feed has one', async () => {
    const server = createServer((request, response) => {
      if (request.url === '/') {
        response.end('<!doctype html><title>t</title>');
        return;
      }
      response.setHeader('Content-Encoding', 'gzip');
      response.write(gzipSync('first '));
      response.end(gzipSync('second '));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    atEnd(() => {
      server.close();
      server.closeAllConnections();
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const seen = await reading(url, '/members');
    await until(async () => (await seen()).endsWith('over'));
    expect(await seen()).toBe('gzip: first over');
    expect(await (await fetch(`${url}members`)).text()).toBe('first second ');
  });
});

describe.each(platforms)('curl --compressed on %s', (platform) => {
  afterEach(closeAll);

  it('reads each message as soon as it has come, and finds the checksum right', async () => {
    const served = await start(platform);
    const curl = spawn('curl', ['--compressed', '-sSN', `${served.url}/feeds/a?format=text`]);
    let text = '';
    curl.stdout.setEncoding('utf8').on('data', (part) => {
      text += part;
    });
    const ended = once(curl, 'close');
    await until(() => served.feeds.counts().open === 1);
    for (const word of ['one', 'two']) {
      await served.feeds.publish('a', long(word));
      await until(() => text.endsWith(`${long(word)}\n`));
    }
    served.feeds.end('a');
    expect(await ended).toEqual([0, null]);
  });
});
