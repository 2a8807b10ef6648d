import { readdir, readFile, rm } from 'node:fs/promises';
import { Peer } from '../support/peer.js';
import { Run, type Served } from '../support/run.js';
import { platforms, publishKey, until } from '../support/serve.js';
import { jwtSecret } from '../support/tokens.js';
import { folderWithout } from '../support/without.js';

const start = (env: Record<string, string> = {}) => Run.service({ FEED_INTERVAL_MS: '0', FEED_PUBLISH_KEY: publishKey, ...env });

const post = (service: Served, key: string) =>
  fetch(`${service.url}/dashboard/key`, { method: 'POST', body: new URLSearchParams({ key }), redirect: 'manual' });

describe.each(platforms)('the dashboard on %s', (platform) => {
  let service: Served;
  beforeAll(async () => {
    service = await start({ FEED_ADAPTER: platform, FEED_PATH: '/deep/path/', FEED_MAX_CONNECTIONS: '50' });
  });
  afterAll(() => Run.endAll());
  afterEach(() => Peer.leaveAll());

  it('has a page that needs no other host, and nothing that its policy forbids', async () => {
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
    const named = [...html.matchAll(/(?:src|href)="(dashboard\/files\/[^"]+)"/g)].map(([, path]) => path as string);
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
    // Each script finds those that it imports, the client's among them, by its own address.
    const scripts = new Set([`${service.url}/dashboard/files/app.js`]);
    for (const url of scripts) {
      const file = await fetch(url);
      expect([url, file.status, file.headers.get('content-type')]).toEqual([url, 200, 'text/javascript; charset=utf-8']);
      for (const [, path] of (await file.text()).matchAll(/\b(?:from |import\()'(\..+?)'/g)) scripts.add(new URL(path as string, url).href);
    }
    expect([...scripts]).toContain(`${service.url}/dashboard/files/client/hub.js`);
    expect([...scripts]).toContain(`${service.url}/dashboard/files/feed/message/feed-definition.js`);
    const slash = await fetch(`${service.url}/dashboard/`, { redirect: 'manual' });
    expect([slash.status, slash.headers.get('location')]).toEqual([308, '../dashboard']);
  });

  it('sends the same numbers to each viewer every second, and only while there are viewers', async () => {
    await service.follow('/deep/path/a', '/deep/path/a', '/deep/path/b');
    const viewers = await Promise.all([1, 2].map(() => Peer.get(service.port, '/dashboard/feed', 'Accept: application/x-ndjson')));
    for (const viewer of viewers) await until(() => viewer.body.split('\n').length > 3);
    const told = JSON.parse(viewers[0]?.body.split('\n')[2] ?? '').data;
    expect(told).toMatchObject({
      counts: { open: 5, limit: 50, feeds: 2 },
      viewers: 2,
      isDraining: false,
      broker: { name: 'memory' },
      busiest: [
        { id: 'a', subscribers: 2 },
        { id: 'b', subscribers: 1 },
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
});

describe.each(platforms)('the dashboard of a service on %s', (platform) => {
  afterEach(() => Run.endAll());

  it('can be off, and is not served where FEED_PATH uses its path', async () => {
    const service = await start({ FEED_ADAPTER: platform, FEED_DASHBOARD: 'off' });
    for (const path of ['', '/now', '/feed', '/files/app.js']) expect((await fetch(`${service.url}/dashboard${path}`)).status).toBe(404);
    const other = await start({ FEED_ADAPTER: platform, FEED_PATH: 'dashboard' });
    await until(() => other.err === '/dashboard is not served: FEED_PATH uses the same path\n');
    const peer = await Peer.get(other.port, '/dashboard/42');
    await peer.sees('200 OK');
  });

  it('needs its key, as a bearer token or a cookie', async () => {
    const service = await start({ FEED_ADAPTER: platform, FEED_JWT_SECRET: jwtSecret, FEED_DASHBOARD_KEY: 'open-sesame' });
    const closed = await fetch(`${service.url}/dashboard`);
    expect([closed.status, closed.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="dashboard"']);
    expect(await closed.text()).toContain('type="password"');
    for (const path of ['now', 'feed']) {
      const refused = await fetch(`${service.url}/dashboard/${path}`);
      expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([401, 'DASHBOARD_KEY']);
    }
    const wrong = await post(service, 'open-barley');
    expect([wrong.status, wrong.headers.get('location'), wrong.headers.get('set-cookie')]).toEqual([303, '../dashboard?wrong', null]);
    const long = await post(service, 'x'.repeat(100_000));
    expect([long.status, long.headers.get('connection'), long.headers.get('set-cookie')]).toEqual([413, 'close', null]);
    const right = await post(service, 'open-sesame');
    expect([right.status, right.headers.get('location')]).toEqual([303, '../dashboard']);
    const cookie = right.headers.get('set-cookie') ?? '';
    expect(cookie).toMatch(/^feed_dashboard=[\w-]{43}; HttpOnly; SameSite=Strict$/);
    const status = async (headers: Record<string, string>) => (await fetch(`${service.url}/dashboard/now`, { headers })).status;
    expect(await status({ cookie: `other=1; ${cookie.split(';')[0]}` })).toBe(200);
    expect(await status({ cookie: 'feed_dashboard=open-sesame' })).toBe(401);
    const now = await fetch(`${service.url}/dashboard/now`, { headers: { authorization: 'Bearer open-sesame' } });
    expect([now.status, await now.json()]).toMatchObject([200, { busiest: [] }]);
    expect(await status({ authorization: 'Bearer open-barley' })).toBe(401);
  });

  it('has pages for operators, which need the admin key for what they show', async () => {
    const service = await start({ FEED_ADAPTER: platform, FEED_ADMIN_KEY: 'an-admin-key', FEED_DASHBOARD_KEY: 'open-sesame' });
    const headers = { authorization: 'Bearer open-sesame' };
    for (const name of ['connections', 'feeds', 'nodes']) {
      const page = await fetch(`${service.url}/dashboard/${name}?x=y`, { headers });
      expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8']);
      expect(page.headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'");
      const html = await page.text();
      expect(html).toContain(`<script src="files/${name}.js" type="module">`);
      expect(html).toContain('data-admin="true"');
      expect(html).not.toMatch(/<script>|<style|\s(?:on\w+|style)=|https?:|an-admin-key|<!-- (?:title|name|content) -->/);
      const scripts = new Set([`${service.url}/dashboard/files/${name}.js`]);
      for (const url of scripts) {
        const file = await fetch(url);
        expect([url, file.status, file.headers.get('content-type')]).toEqual([url, 200, 'text/javascript; charset=utf-8']);
        for (const [, path] of (await file.text()).matchAll(/\bfrom '(\..+?)'/g)) scripts.add(new URL(path as string, url).href);
      }
      const slash = await fetch(`${service.url}/dashboard/${name}/`, { headers, redirect: 'manual' });
      expect([slash.status, slash.headers.get('location')]).toEqual([308, `../${name}`]);
      const closed = await fetch(`${service.url}/dashboard/${name}`, { redirect: 'manual' });
      expect([closed.status, closed.headers.get('location')]).toEqual([303, '../dashboard']);
      // The key of the dashboard opens nothing else.
      expect((await fetch(`${service.url}/admin/${name}`, { headers })).status).toBe(401);
      expect((await fetch(`${service.url}/admin/${name}`, { headers: { 'x-feed-key': 'an-admin-key' } })).status).toBe(200);
    }
  });

  it('has no routes for operators without an admin key and without tokens, and says so on their pages', async () => {
    const service = await start({ FEED_ADAPTER: platform });
    for (const [method, path] of [
      ['GET', 'connections'],
      ['DELETE', 'connections?feed=a'],
      ['POST', 'revocations'],
      ['GET', 'revocations'],
      ['GET', 'feeds'],
      ['GET', 'nodes'],
    ]) {
      const { status } = await fetch(`${service.url}/admin/${path}`, { method: method as string, headers: { 'x-feed-key': publishKey } });
      expect([method, path, status]).toEqual([method, path, 404]);
    }
    expect(await (await fetch(`${service.url}/dashboard/feeds`)).text()).toContain('data-admin="false"');
  });

  it('does not show the names of feeds where tokens decide who reads them, unless it has a key', async () => {
    const service = await start({ FEED_ADAPTER: platform, FEED_JWT_SECRET: jwtSecret });
    expect(await service.json('/dashboard/now')).toMatchObject({ busiest: null });
  });
});

it('the service runs without the package for the charts of the dashboard, and warns', async () => {
  const folder = await folderWithout('uplot');
  const service = await Run.service({}, [], folder);
  await until(() => service.err === '/dashboard is not served: it needs npm install uplot\n');
  expect(await service.status('/dashboard')).toBe(404);
  expect(await service.status('/metrics')).toBe(200);
  Run.endAll();
  await rm(folder, { recursive: true });
});
