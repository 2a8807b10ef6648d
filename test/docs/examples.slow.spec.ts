import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { appendFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { missing } from '../../tools/engines.mjs';
import { startEngine } from '../support/brokers.js';
import { atEnd, temporaryFolder } from '../support/ends.js';
import type { Line } from '../support/peer.js';
import { Run, type Served } from '../support/run.js';
import { until } from '../support/until.js';

afterAll(() => Run.endAll());

const start = (name: string, env: Record<string, string> = {}) => Run.serving(['tools/example.mjs', name], /http:.*\n/, env);

/** A feed's messages as they come. */
async function* follow({ url }: Served, path: string, headers: Record<string, string> = {}): AsyncGenerator<Line> {
  const leave = new AbortController();
  atEnd(() => leave.abort());
  const response = await fetch(url + path, { headers: { Accept: 'application/x-ndjson', ...headers }, signal: leave.signal });
  expect(response.status).toBe(200);
  let rest = '';
  try {
    for await (const text of (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split('\n');
      rest = lines.pop() as string;
      for (const line of lines) if (line !== '') yield JSON.parse(line);
    }
  } finally {
    leave.abort();
  }
}

async function next(lines: AsyncGenerator<Line>): Promise<Line> {
  const { done, value } = await lines.next();
  if (done) throw new Error('the feed has ended');
  return value;
}

async function first(lines: AsyncGenerator<Line>, isIt: (line: Line) => boolean): Promise<Line> {
  for (;;) {
    const line = await next(lines);
    if (isIt(line)) return line;
  }
}

const allOf = (lines: AsyncGenerator<Line>): Promise<Line[]> => Readable.from(lines).toArray();

function postJson({ url }: Served, path: string, body: unknown): Promise<Response> {
  return fetch(url + path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
}

async function expectPage({ url }: Served): Promise<void> {
  const response = await fetch(url);
  expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
  const page = await response.text();
  expect(page).toMatch(/^<!doctype html>/);
  expect(page).not.toMatch(/https?:/); // no other host
}

it('an unknown example: lists those that exist', async () => {
  const run = Run.node(['tools/example.mjs', 'no']);
  expect(await run.exit).toBe(1);
  expect(run.err).toBe('npm run example -- chat | prices | progress | redis | tail | tokens\n');
});

it('progress: follows a job to its end, and tells a late client its state at once', async () => {
  const app = await start('progress');
  await expectPage(app);
  expect((await fetch(`${app.url}/jobs/none`)).status).toBe(404);
  const started = await fetch(`${app.url}/jobs`, { method: 'POST' });
  expect(started.status).toBe(202);
  const { id } = (await started.json()) as { id: string };

  const reloaded = follow(app, `/jobs/${id}`);
  const { step: seen } = (await next(reloaded)).data as { step: number };
  await reloaded.return(undefined);
  const told = await allOf(follow(app, `/jobs/${id}`));
  const { step: from } = (told[0] as Line).data as { step: number };
  expect(from).toBeGreaterThanOrEqual(seen);
  expect(told.map(({ data }) => data)).toEqual(Array.from({ length: 41 - from }, (_, n) => ({ step: from + n, steps: 40 })));

  const late = await allOf(follow(app, `/jobs/${id}`));
  // Not from history, which forgets it: that would have given it an id.
  expect(late).toEqual([{ type: 'done', data: { step: 40, steps: 40 } }]);
  await app.stop();
});

it('prices: a new client gets the newest of each at once', async () => {
  const app = await start('prices');
  await expectPage(app);
  const prices = follow(app, '/feeds?id=prices/oak&id=prices/yew');
  await first(prices, ({ data }) => (data as { symbol: string }).symbol === 'yew');
  await until(async () => {
    const { id } = await first(prices, ({ data }) => (data as { symbol: string }).symbol === 'oak');
    // Another price may have come in between.
    return (await next(follow(app, '/feeds/prices/oak'))).id === id;
  });
  await app.stop();
});

it('chat: shows who is here, and who says what', async () => {
  const app = await start('chat');
  await expectPage(app);
  const enter = async (name: string) => {
    const { token } = (await (await postJson(app, '/join', { name })).json()) as { token: string };
    const headers = { Authorization: `Bearer ${token}` };
    const say = (as: string, body: string) =>
      fetch(`${app.url}/feeds/say/${as}`, { method: 'POST', headers: { 'Content-Type': 'text/plain', ...headers }, body });
    return { say, heard: follow(app, `/feeds?id=room&id=here&id=at/${name}&since=earliest`, headers) };
  };
  const areHere = (...names: string[]) => {
    return ({ data }: Line) => JSON.stringify(data) === JSON.stringify(names);
  };

  expect((await postJson(app, '/join', { name: 'a/b' })).status).toBe(400);
  expect((await fetch(`${app.url}/feeds/room`)).status).toBe(401);
  const ann = await enter('ann');
  await first(ann.heard, areHere('ann'));
  expect((await postJson(app, '/join', { name: 'ann' })).status).toBe(409);
  const bob = await enter('bob');
  await first(bob.heard, areHere('ann', 'bob'));
  await first(ann.heard, areHere('ann', 'bob'));

  expect((await bob.say('ann', 'I am ann')).status).toBe(403);
  expect((await bob.say('bob', 'hello')).status).toBe(201);
  expect(await next(ann.heard)).toMatchObject({ type: 'said', data: { from: 'bob', text: 'hello' } });
  await bob.heard.return(undefined);
  await first(ann.heard, areHere('ann'));
  await app.stop();
});

it('tokens: are made no faster than they are read, and no longer than the client stays', async () => {
  const app = await start('tokens');
  await expectPage(app);
  const answer = await allOf(follow(app, '/answers?prompt=why'));
  expect(answer.map(({ data }) => data).join('')).toMatch(/^You asked: “why”. There is no model here: .* the reader leaves\. $/);

  const stats = follow(app, '/stats');
  const sample = async () => (await next(stats)).data as { running: number; made: number };
  const client = connect(app.port, '127.0.0.1').pause();
  atEnd(() => client.destroy());
  client.write('GET /answers?prompt=why&endless= HTTP/1.1\r\nHost: test\r\n\r\n');
  const made = [-3, -2, -1];
  while (new Set(made.slice(-3)).size > 1 || (made.at(-1) as number) <= answer.length) made.push((await sample()).made);
  client.resume();
  await once(client, 'data');
  while ((await sample()).made === made.at(-1));
  client.destroy();
  while ((await sample()).running > 0);
  await app.stop();
});

it('tail: sends the lines of a file, then those that are appended', async () => {
  const path = join(await temporaryFolder(), 'some.log');
  await writeFile(path, 'one\ntwo');
  const app = await start('tail', { LOG_FILE: path });
  const lines = follow(app, '/log?since=earliest');
  const one = await next(lines);
  await appendFile(path, ' or more\r\n\nth');
  expect((await next(lines)).data).toBe('two or more');
  expect((await next(lines)).data).toBe('');
  await appendFile(path, 'ree ☃\n');
  expect((await next(lines)).data).toBe('three ☃');
  expect((await next(follow(app, `/log?since=${encodeURIComponent(`${one.id}`)}`))).data).toBe('two or more');
  await app.stop();
});

it('tail: makes a log of its own', async () => {
  const app = await start('tail');
  const path = /follows (\S+):/.exec(app.out)?.[1] as string;
  expect((await next(follow(app, '/log?since=earliest'))).data).toMatch(/the log begins$/);
  expect(existsSync(path)).toBe(true);
  await app.stop();
  expect(existsSync(join(path, '..'))).toBe(false);
});

(missing().includes('redis-server') ? it.skip : it)('redis: two processes have one drawing', async () => {
  const engine = await startEngine('redis');
  const env = { REDIS_URL: engine.url };
  const [one, other] = await Promise.all([start('redis', env), start('redis', env)]);
  await expectPage(one);
  expect((await postJson(one, '/drawing', { line: ['x'] })).status).toBe(400);
  const live = follow(other, '/drawing?since=earliest');
  expect((await postJson(one, '/drawing', { line: [1, 2, 3, 4] })).status).toBe(204);
  expect((await postJson(one, '/drawing', { line: [5, 6] })).status).toBe(204);
  const drawn = { by: one.child.pid, line: [1, 2, 3, 4] };
  expect((await next(live)).data).toEqual(drawn);
  expect((await next(follow(other, '/drawing?since=earliest'))).data).toEqual(drawn);
  await first(follow(other, '/processes'), ({ data }) => (data as { nodes: unknown[] }).nodes.length === 2);
  await one.stop();
  await other.stop();
});

it('redis: says how to start Redis', async () => {
  const app = await start('redis', { REDIS_URL: 'redis://127.0.0.1:1' });
  await until(() => app.out.includes('no Redis yet: docker run -p 6379:6379 redis'));
  expect((await postJson(app, '/drawing', { line: [1, 2] })).status).toBe(503);
  await app.stop();
});
