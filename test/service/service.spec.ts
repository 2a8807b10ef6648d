import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Peer } from '../support/peer.js';
import { Run } from '../support/run.js';
import { platforms, until } from '../support/serve.js';

afterEach(() => Run.endAll());

describe.each(platforms)('the service on %s', (platform) => {
  it('says where it serves and what to try, and does what it says', async () => {
    const service = await Run.service({ FEED_ADAPTER: platform });
    const [serves, tryIt, publish, end] = service.out.split('\n');
    expect(serves).toBe(`nestjs-feed serves on ${service.url} (${platform}); health: ${service.url}/health`);
    expect(tryIt).toBe(`try it: curl -N ${service.url}/test/42`);
    expect(end).toBe('');
    // The line that it says is one that works.
    const { stdout } = await promisify(execFile)('sh', ['-c', `${publish?.replace('publish: curl', 'curl -s')}`]);
    expect(JSON.parse(stdout)).toEqual({ id: expect.stringMatching(/-1\/42$/), feed: '42', subscribers: 0 });
    const peer = await Peer.get(service.port, '/test/42');
    await peer.sees('Nestconntest welcomes you! Your Id: /test/42\n');
    await peer.sees('Chunk 2 for id /test/42\n');
    expect(peer.body).toBe('Nestconntest welcomes you! Your Id: /test/42\nChunk 1 for id /test/42\nChunk 2 for id /test/42\n');
    expect((await fetch(`${service.url}/test/${'x'.repeat(201)}`)).status).toBe(400);
    expect((await fetch(`${service.url}/health`)).status).toBe(200);
    expect(service.child.kill('SIGTERM')).toBe(true);
    await peer.closed();
    expect(peer.isComplete).toBe(true);
    expect(await service.exit).toBe(0);
    expect(service.err).toBe('');
  });

  it('waits for its feeds to end when it is told to, and not when it is told twice', async () => {
    const service = await Run.service({ FEED_ADAPTER: platform, FEED_DRAIN_MS: '600000', FEED_LAME_DUCK_MS: '600000' });
    const peer = await Peer.get(service.port, '/test/42');
    await peer.sees('Chunk 1');
    service.child.kill('SIGTERM');
    await until(async () => (await fetch(`${service.url}/health/ready`)).status === 503);
    const { length } = peer.text;
    await until(() => peer.text.length > length);
    expect(service.child.exitCode).toBe(null);
    service.child.kill('SIGINT');
    expect(await service.exit).toBe(130);
    expect(peer.isComplete).toBe(false);
  });

  it('takes any JSON and any text, and refuses the rest in the same words on each adapter', async () => {
    const service = await Run.service({ FEED_ADAPTER: platform, FEED_INTERVAL_MS: '0', FEED_PUBLISH_KEY: 'key' });
    const post = async (body: string, type: string, key = 'key') => {
      const headers = { authorization: `Bearer ${key}`, 'content-type': type };
      const answer = await fetch(`${service.url}/test/a`, { method: 'POST', body, headers });
      return `${answer.status} ${((await answer.json()) as { code?: string }).code ?? ''}`;
    };
    for (const json of ['"text"', '1', 'null', 'false', '[]', '{}']) expect(await post(json, 'application/json')).toBe('201 ');
    for (const text of ['', ' ', '{', 'ü'.repeat(32_768)]) expect(await post(text, 'text/plain; charset=utf-8')).toBe('201 ');
    expect(await post('', 'application/json')).toBe('400 FEED_MESSAGE');
    expect(await post('{', 'application/json')).toBe('400 FEED_MESSAGE');
    expect(await post('x', 'application/x-www-form-urlencoded')).toBe('415 FEED_MEDIA_TYPE');
    expect(await post('x'.repeat(65_537), 'text/plain')).toBe('413 FEED_BODY_TOO_LARGE');
    expect(await post('x'.repeat(5_000_000), 'text/plain')).toBe('413 FEED_BODY_TOO_LARGE');
    expect(await post('x', 'image/png', 'wrong')).toBe('401 FEED_UNAUTHORIZED');
    const many = await fetch(`${service.url}/test`, {
      method: 'POST',
      body: JSON.stringify({ feeds: ['a', 'b'], data: '\n'.repeat(60_000) }),
      headers: { authorization: 'Bearer key', 'content-type': 'application/json' },
    });
    expect(many.status).toBe(201);
  });

  it('gives the last message of each feed, and all but the newest to nobody who is slow, where the environment says so', async () => {
    const service = await Run.service({
      FEED_ADAPTER: platform,
      FEED_PUBLISH_KEY: 'key',
      FEED_INTERVAL_MS: '0',
      FEED_REPLAY_NEWEST: '*',
      FEED_CONFLATE: 'prices/*',
    });
    for (const feed of ['prices/eur', 'news']) {
      const headers = { authorization: 'Bearer key', 'content-type': 'text/plain' };
      expect((await fetch(`${service.url}/test/${feed}`, { method: 'POST', body: 'the last', headers })).status).toBe(201);
      const { body } = await fetch(`${service.url}/test/${feed}`);
      const { value } = await (body as ReadableStream<Uint8Array>).getReader().read();
      expect(Buffer.from(value as Uint8Array).toString()).toBe('the last\n');
    }
    service.child.kill('SIGTERM');
    expect(await service.exit).toBe(0);
  });

  it('answers health checks and publishing where feeds and silent connections have taken all descriptors', async () => {
    const service = await Run.serviceWith(256, { FEED_ADAPTER: platform, FEED_PUBLISH_KEY: 'key', FEED_INTERVAL_MS: '0' });
    const counts = async () => (await fetch(`${service.url}/health/connections`)).json() as Promise<{ open: number; limit: number }>;
    const { limit } = await counts();
    const feeds = await Promise.all(Array.from({ length: limit }, () => Peer.get(service.port, '/test/a')));
    await until(async () => (await counts()).open === limit);
    const silent = await Promise.all(Array.from({ length: 200 }, () => Peer.to(service.port)));
    await until(() => silent.filter(({ socket }) => socket.destroyed).length > 150);
    expect(await counts()).toMatchObject({ open: limit });
    const headers = { authorization: 'Bearer key', 'content-type': 'text/plain' };
    expect((await fetch(`${service.url}/test/a`, { method: 'POST', body: 'to all', headers })).status).toBe(201);
    await Promise.all(feeds.map((peer) => peer.sees('to all\n')));
    Peer.leaveAll();
    service.child.kill('SIGTERM');
    expect(await service.exit).toBe(0);
  });

  it('holds a flood, and counts it', async () => {
    const service = await Run.service({ FEED_ADAPTER: platform, FEED_INTERVAL_MS: '100', FEED_PATH: '/deep/path/' });
    const folder = await mkdtemp(join(tmpdir(), 'flood-'));
    const report = join(folder, 'report.json');
    for (const format of ['text', 'sse', 'ndjson']) {
      const args = ['--connections', '200', '--rate', '1000', '--duration', '1.5', '--sources', '3', '--format', format];
      const command = [
        'dist/flood/cli.js',
        'flood',
        `${service.url}/deep/path/`,
        ...args,
        '--pid',
        `${service.child.pid}`,
        '--json',
        report,
      ];
      const run = Run.node(command);
      expect(await run.exit).toBe(0);
      expect(run.out).toMatch(/open 200 +closed 0 +failed 0/);
      expect(run.out).toMatch(/result +ok/);
      expect(JSON.parse(await readFile(report, 'utf8'))).toMatchObject({ ok: true, opened: 200, unchecked: 0, missing: 0, format });
    }
    const counts = async () => (await fetch(`${service.url}/health/connections`)).json();
    await until(async () => ((await counts()) as { open: number }).open === 0);
    expect(await counts()).toMatchObject({ peak: 200, opened: 600, closed: { client: 600 } });
    service.child.kill('SIGINT');
    expect(await service.exit).toBe(0);
    await rm(folder, { recursive: true });
  });
});

describe('the start of the service', () => {
  it.each([
    ['PORT', '70000', 'PORT must be a port: a whole number from 0 to 65535, not "70000"'],
    ['PORT', '80a', 'PORT must be a port: a whole number from 0 to 65535, not "80a"'],
    ['FEED_INTERVAL_MS', '-1', 'FEED_INTERVAL_MS must be a whole number of milliseconds, not "-1"'],
    ['FEED_INTERVAL_MS', '1e3', 'FEED_INTERVAL_MS must be a whole number of milliseconds, not "1e3"'],
    ['FEED_BUFFER_BYTES', '10', 'FEED_BUFFER_BYTES must be 1024 or more bytes, not "10"'],
    ['FEED_ADAPTER', 'koa', 'FEED_ADAPTER must be express or fastify, not "koa"'],
    ['FEED_PATH', 'a b', 'FEED_PATH must be a path: segments of A-Z a-z 0-9 . _ ~ - with / between them, not "a b"'],
    ['FEED_PATH', '/health/feeds', /^FEED_PATH must not begin with health or metrics/],
    ['FEED_LAME_DUCK_MS', '20000', /^FEED_LAME_DUCK_MS is invalid: .*a part of the drain time: it must be 10000 \("drainMs"\) or fewer/],
    ['FEED_HISTORY_LENGTH', '-1', 'FEED_HISTORY_LENGTH must be a whole number of messages, not "-1"'],
    ['FEED_CONFLATE', 'a b', /^FEED_REPLAY_NEWEST or FEED_CONFLATE is invalid: .*patterns.*a feed's id/],
    ['FEED_JWKS_URL', 'ftp://x', /^FEED_JWKS_URL must be an http or https URL/],
    ['FEED_JWT_ISSUER', 'x', /^FEED_JWT_ISSUER is invalid: .*needs "jwtSecret" or "jwksUrl"/],
    ['FEED_PUBLISH_KEY', 'a b', /^FEED_PUBLISH_KEY must be one or more visible ASCII characters without spaces\n$/],
    ['FEED_WEBHOOK_URL', 'http://127.0.0.1:1', /^FEED_WEBHOOK_SECRET is invalid: /],
    ['FEED_MAX_CONNECTIONS', 'many', 'FEED_MAX_CONNECTIONS must be a whole number of connections, not "many"'],
    ['FEED_BROKER', 'kafka://user:secret@host', /^FEED_BROKER must be memory, or a URL: redis:\/\/…[^@]*\n$/],
    ['FEED_BROKER', 'redis://user:secret@', /^FEED_BROKER is invalid: The URL of Redis must be [^@]*\n$/],
    ['FEED_BROKER', 'nats://user:secret@', /^FEED_BROKER is invalid: The NATS broker's URL is [^@]*\n$/],
    ['FEED_NODE_NAME', 'a b', 'FEED_NODE_NAME must be 1 to 100 visible ASCII characters without spaces, not "a b"'],
    ['WORKERS', '0', 'WORKERS must be a whole number of processes from 1 to 64, not "0"'],
    ['WORKERS', '65', 'WORKERS must be a whole number of processes from 1 to 64, not "65"'],
    ['WORKERS', '2', /^FEED_BROKER must be redis:\/\/… or nats:\/\/… with WORKERS=2: the memory broker /],
    ['HOST', 'no.such.host.invalid', 'HOST no.such.host.invalid is not an address of this machine'],
  ])('is refused with %s=%s', async (name, value, line) => {
    const run = Run.node(['dist/main.js'], { PORT: '0', [name]: value });
    expect(await run.exit).toBe(1);
    if (typeof line === 'string') expect(run.err).toBe(`${line}\n`);
    else expect(run.err).toMatch(line);
    expect(run.err.trimEnd().split('\n')).toHaveLength(1);
    expect(run.out).toBe('');
  });

  it.each([
    ['redis://127.0.0.1', 'ioredis', 'ioredis'],
    ['nats://127.0.0.1', '@nats-io/jetstream', '@nats-io/transport-node @nats-io/jetstream'],
  ])('is refused with FEED_BROKER=%s where %s is not installed', async (broker, missing, packages) => {
    const resolve = `export async function resolve(name, context, next) {
      if (name === '${missing}') throw Object.assign(new Error(), { code: 'ERR_MODULE_NOT_FOUND' });
      return next(name, context);
    }`;
    const url = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`;
    const hook = url(`import { register } from 'node:module'; register(${JSON.stringify(url(resolve))});`);
    const run = Run.node(['--import', hook, 'dist/main.js'], { PORT: '0', FEED_BROKER: broker });
    expect(await run.exit).toBe(1);
    expect(run.err).toBe(`FEED_BROKER needs a client that is not installed: npm install ${packages}\n`);
  });

  it('warns of a broker that is unavailable, and says why', async () => {
    const service = await Run.service({ FEED_BROKER: 'redis://127.0.0.1:1' });
    await until(() => service.err !== '');
    expect(service.err).toBe(
      'redis is unavailable (connect ECONNREFUSED 127.0.0.1:1): messages are rejected until it is available again\n',
    );
    expect((await fetch(`${service.url}/health/ready`)).status).toBe(200);
  });

  it('warns of a secret that can be guessed', async () => {
    const service = await Run.service({ FEED_JWT_SECRET: 'short' });
    await until(() => service.err !== '');
    expect(service.err).toMatch(/^FEED_JWT_SECRET has fewer than 32 bytes.*\n$/);
  });

  it.each(platforms)('is refused on %s while the port is in use', async (platform) => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const run = Run.node(['dist/main.js'], { PORT: `${port}`, FEED_ADAPTER: platform });
    expect(await run.exit).toBe(1);
    expect(run.err).toBe(`PORT ${port} on 127.0.0.1 is in use: stop the process that listens there, or set PORT to another port\n`);
    taken.close();
  });
});
