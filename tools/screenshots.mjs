// The documentation's pictures of the dashboard: `npm run screenshots` starts the built service, floods it, and has Chromium look.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { SignJWT } from 'jose';
import { chromium } from 'playwright-core';
import { chromiumArgs, Engine, env } from './engines.mjs';

const folder = 'docs/screenshots';
const key = 'screenshots';

async function serve(more) {
  const flags = ['--expose-gc', '--max-semi-space-size=2', 'dist/main.js'];
  const child = spawn(process.execPath, flags, {
    env: { ...env, PORT: '0', FEED_PUBLISH_KEY: key, ...more },
    stdio: ['ignore', 'pipe', 2],
  });
  const [said] = await once(child.stdout.setEncoding('utf8'), 'data');
  return { child, url: /http:\/\/\S+:\d+/.exec(said)[0] };
}

async function end(child) {
  const ended = once(child, 'exit');
  child.kill();
  await ended;
}

const flood = (url, ...args) =>
  spawn(process.execPath, ['dist/flood/cli.js', 'flood', `${url}/test/`, '--key', key, ...args], { stdio: 'ignore' });

const publish = (url, feed, data, type) =>
  fetch(`${url}/test/${encodeURIComponent(feed)}${type ? `?type=${type}` : ''}`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
    body: JSON.stringify(data),
  }).then((response) => response.body?.cancel());

/** Follows feeds, as many times as it says. */
function follow(url, feeds, headers = {}) {
  const leaving = new AbortController();
  for (const [feed, times] of Object.entries(feeds)) {
    for (let n = 0; n < times; n += 1) {
      fetch(`${url}/test/${encodeURIComponent(feed)}`, { signal: leaving.signal, headers })
        .then((response) => response.text())
        .catch(() => {});
    }
  }
  return leaving;
}

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: chromiumArgs });

async function open(url, colorScheme) {
  const page = await browser.newPage({ viewport: { width: 1120, height: 1100 }, colorScheme });
  await page.goto(`${url}/dashboard`);
  await page.waitForSelector('[data-state="live"]');
  return page;
}

async function shoot(page, name) {
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
  console.log(`${folder}/${name}.png`);
}

const redis = await Engine.start('redis');
const { child, url } = await serve({ FEED_BROKER: redis.url, FEED_INTERVAL_MS: '0' });
try {
  const page = await open(url, 'dark');
  const shops = Object.fromEntries(['berlin', 'paris', 'rome', 'oslo', 'porto'].map((name, n) => [`shops/${name}`, 64 - 7 * n]));
  follow(url, { ...shops, news: 180, 'prices/abc': 120 });
  await sleep(4000);
  await page.fill('#follow-form [name=id]', 'shops/berlin');
  await page.press('#follow-form [name=id]', 'Enter');
  const passing = [];
  for (let second = 0; second < 40; second += 1) {
    for (let n = 0; n < 3 + (second % 5); n += 1) await publish(url, 'prices/abc', { price: 100 + n });
    if (second % 2) await publish(url, 'news', `item ${second}`);
    if (second > 33 && second % 2) await publish(url, 'shops/berlin', { order: 1000 + second, parcels: 2 }, 'shipped');
    if (second % 4 === 0) passing.push(follow(url, { 'orders/7': 8 + second }));
    if (second % 7 === 6) passing.shift()?.abort();
    await sleep(1000);
  }
  await shoot(page, 'dark');
} finally {
  await end(child);
  await redis.stop();
}

const secret = 'a secret of the screenshots, which no one else needs';
const operated = await serve({ FEED_INTERVAL_MS: '0', FEED_NODE_NAME: 'feed-0', FEED_JWT_SECRET: secret, FEED_ADMIN_KEY: key });
try {
  const page = await browser.newPage({ viewport: { width: 1120, height: 700 } });
  const agents = ['Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0', 'Mozilla/5.0 (iPhone) Safari/604.1', 'orders-service/3.2'];
  for (const [n, sub] of ['ada', 'grace', 'edsger', 'barbara', 'orders-service', 'ada'].entries()) {
    const token = await new SignJWT({ sub, feeds: '*' })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime('1h')
      .sign(Buffer.from(secret));
    const headers = { Authorization: `Bearer ${token}`, 'User-Agent': agents[sub === 'orders-service' ? 2 : n % 2] };
    follow(operated.url, { [['orders/7', 'prices/abc', 'news'][n % 3]]: 1 }, headers);
    await sleep(700 * n);
    for (let m = 0; m < 5 + n; m += 1) for (const feed of ['orders/7', 'prices/abc']) await publish(operated.url, feed, { n, m });
  }
  await page.goto(`${operated.url}/dashboard/connections`);
  await page.fill('#key-form [name=key]', key);
  await page.click('#key-form [type=submit]');
  await page.waitForSelector('#list tbody tr');
  await shoot(page, 'connections');
} finally {
  await end(operated.child);
}

const crowded = await serve({});
try {
  const page = await open(crowded.url, 'light');
  const client = flood(crowded.url, '--connections', '10000', '--rate', '500', '--duration', '25');
  await page.waitForFunction(() => document.getElementById('open').textContent === '10,001', undefined, { timeout: 60_000 });
  await sleep(15_000);
  await shoot(page, 'ten-thousand');
  await end(client);
} finally {
  await end(crowded.child);
  await browser.close();
}
