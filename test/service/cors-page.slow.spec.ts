import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Page } from 'playwright-core';
import { inBrowser, useChromium } from '../support/chromium.js';
import { bundle } from '../support/client-page.js';
import { Run, type Served } from '../support/run.js';
import { platforms, publishKey, until } from '../support/serve.js';
import { jwtSecret, sign } from '../support/tokens.js';

inBrowser.each(platforms)('pages of other origins in Chromium, with the service on %s', (platform) => {
  const browser = useChromium();
  let pages: Server;
  let origin: string;
  let service: Served;
  let page: Page;
  let code = '';

  beforeAll(async () => {
    code = await bundle(`import { createFeedClient } from 'nestjs-feed/client'; window.createFeedClient = createFeedClient;`);
    pages = createServer((_, response) => {
      response.setHeader('Content-Type', 'text/html').end(`<!doctype html><title>page</title><script type="module">${code}</script>`);
    }).listen(0, '127.0.0.1');
    await once(pages, 'listening');
    origin = `http://127.0.0.1:${(pages.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    pages?.close();
    pages?.closeAllConnections();
  });
  beforeEach(async () => {
    service = await Run.service({
      FEED_ADAPTER: platform,
      FEED_INTERVAL_MS: '0',
      FEED_PUBLISH_KEY: publishKey,
      FEED_JWT_SECRET: jwtSecret,
      FEED_CORS_ORIGINS: origin,
      FEED_TICKETS: 'on',
      FEED_TOKEN_IN_QUERY: 'off',
    });
    page = await (await browser().newContext()).newPage();
  });
  afterEach(async () => {
    await page.context().close();
    Run.endAll();
  });

  /** Runs code in the page; `url` and `token` are there. */
  const run = async (body: string, claims: object = { feeds: 'a', publish: 'a' }) => {
    const values = JSON.stringify({ url: service.url, token: await sign(claims as never) });
    return page.evaluate(`(async () => { const { url, token } = ${values}; const authorization = 'Bearer ' + token; ${body} })()`);
  };

  it('publish, read answers, positions and errors, where the service names them', async () => {
    await page.goto(origin);
    const published = `
      const headers = { authorization, 'content-type': 'application/json', 'idempotency-key': 'k' };
      const answer = await fetch(url + '/test/a', { method: 'POST', headers, body: '1' });
      return [answer.status, (await answer.json()).feed];`;
    expect(await run(published)).toEqual([201, 'a']);
    const read = `
      const answer = await fetch(url + '/test/a?since=earliest', { headers: { authorization, accept: 'application/x-ndjson' } });
      const { value } = await answer.body.getReader().read();
      const { get } = { get: (name) => answer.headers.get(name) !== null };
      return [answer.status, get('feed-position'), get('feed-connection'), new TextDecoder().decode(value).includes('"data":1')];`;
    expect(await run(read)).toEqual([200, true, true, true]);
    const refused = `
      const answer = await fetch(url + '/test/b', { headers: { authorization } });
      return [answer.status, (await answer.json()).code];`;
    expect(await run(refused)).toEqual([403, 'FEED_FORBIDDEN']);
    expect(await run(refused, { exp: 1 })).toEqual([401, 'FEED_UNAUTHORIZED']);
    expect(await run(`return (await fetch(url + '/test/a', { method: 'DELETE', headers: { authorization } })).status`)).toBe(204);
  });

  it('open an EventSource with a ticket, which opens no other', async () => {
    await page.goto(origin);
    const opened = `
      const { ticket } = await (await fetch(url + '/tickets', { method: 'POST', headers: { authorization } })).json();
      window.seen = [];
      window.source = new EventSource(url + '/test/a?ticket=' + ticket);
      source.onmessage = ({ data }) => seen.push(data);
      await new Promise((resolve, reject) => { source.onopen = resolve; source.onerror = reject; });
      const again = new EventSource(url + '/test/a?ticket=' + ticket);
      await new Promise((resolve) => { again.onerror = resolve; });
      return again.readyState;`;
    expect(await run(opened)).toBe(2);
    await service.publish('/test/a', 'hello');
    await until(async () => JSON.stringify(await page.evaluate('seen')) === '["hello"]');
  });

  it('follow and publish by the client', async () => {
    await page.goto(origin);
    await until(async () => (await page.evaluate('typeof createFeedClient')) === 'function');
    const followed = `
      const client = createFeedClient({ url: url + '/test', token: () => token });
      const seen = [];
      const subscription = client.follow('a', { since: 'earliest' }).subscribe(({ data }) => seen.push(data));
      await client.publish('a', { n: 1 });
      while (seen.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
      subscription.unsubscribe();
      return seen;`;
    expect(await run(followed)).toEqual([{ n: 1 }]);
  });

  it('do nothing where the service does not name them, neither by fetch() nor by EventSource', async () => {
    await page.goto(origin.replace('127.0.0.1', 'localhost'));
    const tried = `
      const tries = [
        fetch(url + '/test/a?mode=once', { headers: { authorization } }),
        fetch(url + '/health'),
        fetch(url + '/test/a', { method: 'POST', headers: { authorization, 'content-type': 'application/json' }, body: '1' }),
      ];
      const source = new EventSource(url + '/test/a');
      await new Promise((resolve) => { source.onerror = resolve; });
      return [source.readyState, ...(await Promise.allSettled(tries)).map(({ status }) => status)];`;
    expect(await run(tried)).toEqual([2, 'rejected', 'rejected', 'rejected']);
    expect((await service.json<{ messages: number }>('/health/connections')).messages).toBe(0);
  });

  it('publish with the cookie of a user where the service names them, and not elsewhere', async () => {
    await page
      .context()
      .addCookies([{ name: 'feed_token', value: await sign({ feeds: '*', publish: '*' }), url: service.url, sameSite: 'Lax' }]);
    const publish = `
      const init = { method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'x', credentials: 'include' };
      const answer = await fetch(url + '/test/a', { ...init, mode: 'cors' }).catch(() => undefined);
      return answer?.status ?? 'none';`;
    await page.goto(origin);
    expect(await run(publish)).toBe(201);
    await page.goto(`${origin}`.replace('127.0.0.1', 'localhost'));
    expect(await run(publish)).toBe('none');
    const { messages } = (await (
      await fetch(`${service.url}/test/a?mode=once`, { headers: { authorization: `Bearer ${publishKey}` } })
    ).json()) as {
      messages: unknown[];
    };
    expect(messages).toHaveLength(1);
  });
});
