import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Peer } from '../support/peer.js';
import { Run, type Served } from '../support/run.js';
import { asJson, platforms, publishKey, until } from '../support/serve.js';

describe.each(platforms)('the service on %s', (platform) => {
  afterEach(() => Run.endAll());

  it('says where it serves and how to try it, and each of these commands works', async () => {
    const service = await Run.service({ FEED_ADAPTER: platform });
    const [serves, tryIt, publish, end] = service.out.split('\n');
    expect(serves).toBe(`nestjs-feed serves on ${service.url} (${platform}); health: ${service.url}/health`);
    expect(tryIt).toBe(`try it: curl -N ${service.url}/test/42`);
    expect(end).toBe('');
    const { stdout } = await promisify(execFile)('sh', ['-c', `${publish?.replace('publish: curl', 'curl -s')}`]);
    expect(JSON.parse(stdout)).toEqual({ id: expect.stringMatching(/-1\/42$/), feed: '42', subscribers: 0 });
    const [peer] = (await service.follow('/test/42')) as [Peer];
    await peer.sees('Nestconntest welcomes you! Your Id: /test/42\n');
    await peer.sees('Chunk 2 for id /test/42\n');
    expect(peer.body).toBe('Nestconntest welcomes you! Your Id: /test/42\nChunk 1 for id /test/42\nChunk 2 for id /test/42\n');
    expect(await service.status(`/test/${'x'.repeat(201)}`)).toBe(400);
    expect(await service.status('/health')).toBe(200);
    for (const path of ['/Test/42', '/TEST?id=42', '/Health', '/health/Ready'])
      expect([path, await service.status(path)]).toEqual([path, 404]);
    await service.stop();
    await peer.closed();
    expect(peer.isComplete).toBe(true);
  });

  it('drains at the first signal, and exits at the second', async () => {
    const service = await Run.service({ FEED_ADAPTER: platform, FEED_DRAIN_MS: '600000', FEED_LAME_DUCK_MS: '600000' });
    const [peer] = (await service.follow('/test/42')) as [Peer];
    await peer.sees('Chunk 1');
    service.child.kill('SIGTERM');
    await until(async () => (await service.status('/health/ready')) === 503);
    const { length } = peer.text;
    await until(() => peer.text.length > length);
    expect(service.child.exitCode).toBe(null);
    await service.signalUntilGone('SIGINT');
    expect(await service.exit).toBe(130);
    expect(peer.isComplete).toBe(false);
  });

  it('answers health checks and publishing where feeds and silent connections have taken all descriptors', async () => {
    const env = { FEED_ADAPTER: platform, FEED_PUBLISH_KEY: publishKey, FEED_INTERVAL_MS: '0', FEED_MAX_OPEN_DELAY_MS: '0' };
    const service = await Run.serviceWith(256, env);
    const { limit } = await service.counts();
    const feeds = await service.follow(...Array.from({ length: limit }, () => '/test/a'));
    await until(async () => (await service.counts()).open === limit);
    const silent = await Promise.all(Array.from({ length: 200 }, () => Peer.to(service.port)));
    await until(() => silent.filter(({ socket }) => socket.destroyed).length > 150);
    // None is turned away before it has been silent for two seconds.
    await until(async () => (await service.status('/health/live')) === 200);
    expect(await service.counts()).toMatchObject({ open: limit });
    expect((await service.publish('/test/a', 'to all')).status).toBe(201);
    await Promise.all(feeds.map((peer) => peer.sees('to all\n')));
    Peer.leaveAll();
    await service.stop();
  });

  it('holds a flood in each format, and counts it', async () => {
    const env = { FEED_ADAPTER: platform, FEED_INTERVAL_MS: '100', FEED_PATH: '/deep/path/', FEED_MAX_OPEN_DELAY_MS: '0' };
    const service = await Run.service(env);
    const folder = await mkdtemp(join(tmpdir(), 'flood-'));
    const report = join(folder, 'report.json');
    const always = ['--connections', '200', '--rate', '1000', '--duration', '1', '--sources', '3', '--pid', `${service.child.pid}`];
    for (const format of ['text', 'sse', 'ndjson']) {
      const args = [`${service.url}/deep/path/`, ...always, '--format', format, '--json', report];
      const run = Run.node(['dist/flood/cli.js', 'flood', ...args]);
      expect(await run.exit).toBe(0);
      expect(run.out).toMatch(/open 200 +closed 0 +failed 0/);
      expect(run.out).toMatch(/result +ok/);
      expect(JSON.parse(await readFile(report, 'utf8'))).toMatchObject({ ok: true, opened: 200, unchecked: 0, missing: 0, format });
    }
    await service.isEmpty();
    expect(await service.counts()).toMatchObject({ peak: 200, opened: 600, closed: { client: 600 } });
    await service.stop('SIGINT');
    await rm(folder, { recursive: true });
  });
});

describe.each(platforms)('publishing to the service on %s', (platform) => {
  let service: Served;
  beforeAll(async () => {
    const rules = { FEED_RULES: JSON.stringify({ '*': { replay: 'newest' }, 'prices/*': { replay: 'newest', conflate: true } }) };
    service = await Run.service({ FEED_ADAPTER: platform, FEED_PUBLISH_KEY: publishKey, FEED_INTERVAL_MS: '0', ...rules });
  });
  afterAll(() => service.stop());
  afterEach(() => Peer.leaveAll());

  it('takes any JSON and any text, and rejects the rest in the same words on each adapter', async () => {
    const post = async (body: string, headers: Record<string, string>) => {
      const answer = await service.publish('/test/a', body, headers);
      return `${answer.status} ${((await answer.json()) as { code?: string }).code ?? ''}`;
    };
    const as = (type: string) => ({ 'content-type': type });
    for (const json of ['"text"', '1', 'null', 'false', '[]', '{}']) expect(await post(json, asJson)).toBe('201 ');
    for (const text of ['', ' ', '{', 'ü'.repeat(32_768)]) expect(await post(text, as('text/plain; charset=utf-8'))).toBe('201 ');
    expect(await post('', asJson)).toBe('400 FEED_MESSAGE');
    expect(await post('{', asJson)).toBe('400 FEED_MESSAGE');
    expect(await post('x', as('application/x-www-form-urlencoded'))).toBe('415 FEED_MEDIA_TYPE');
    expect(await post('x'.repeat(65_537), {})).toBe('413 FEED_BODY_TOO_LARGE');
    expect(await post('x'.repeat(5_000_000), {})).toBe('413 FEED_BODY_TOO_LARGE');
    expect(await post('x', { ...as('image/png'), authorization: 'Bearer wrong' })).toBe('401 FEED_UNAUTHORIZED');
    const many = JSON.stringify({ feeds: ['a', 'b'], data: '\n'.repeat(60_000) });
    expect((await service.publish('/test', many, asJson)).status).toBe(201);
  });

  it.each([
    [401, 'text/plain', 'Bearer no', 1e9],
    [413, 'text/plain', `Bearer ${publishKey}`, 1e9],
    [413, 'application/json', `Bearer ${publishKey}`, undefined],
    [415, 'application/xml', `Bearer ${publishKey}`, 1e9],
  ])('closes a connection whose body is rejected with %i (%s), however much of it is to come', async (status, type, key, length) => {
    const peer = await Peer.to(service.port);
    const framing = length === undefined ? 'Transfer-Encoding: chunked' : `Content-Length: ${length}`;
    const head = ['POST /test/a HTTP/1.1', 'Host: test', `Content-Type: ${type}`, `Authorization: ${key}`, framing].join('\r\n');
    peer.send(`${head}\r\n\r\n`);
    const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`;
    // As much as is taken, before the answer and after it.
    const { socket } = peer;
    while (!socket.destroyed && socket.bytesWritten < 50_000_000) {
      if (!socket.writableNeedDrain) peer.send(chunk);
      await new Promise(setImmediate);
    }
    // What the kernel takes, and no more.
    expect(socket.bytesWritten).toBeLessThan(50_000_000);
    await until(() => socket.closed); // by a reset: there is more than was read
    expect(peer.status).toBe(status);
  });

  it('has a new connection begin with the newest message where FEED_RULES say so', async () => {
    for (const feed of ['prices/eur', 'news']) {
      expect((await service.publish(`/test/${feed}`, 'the last')).status).toBe(201);
      const [peer] = (await service.follow(`/test/${feed}`)) as [Peer];
      await peer.sees('the last\n');
      expect(peer.body).toBe('the last\n');
    }
  });
});
