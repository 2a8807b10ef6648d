import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { Engine, missing } from '../../tools/engines.mjs';
import { Peer } from '../support/peer.js';
import { Run } from '../support/run.js';
import { platforms, until } from '../support/serve.js';

interface Counts {
  pid: number;
  open: number;
  opened: number;
  handedOver: number;
  rssBytes: number;
  limit: number;
  closed: { client: number };
  workers: { pids: number[]; missing: number[] };
}

// Left out where there is no Redis, as `tools/engines.mjs` says, which runs before the tests.
const describeWithRedis = missing().includes('redis-server') ? describe.skip : describe;

let engine: Engine | undefined;
beforeAll(async () => {
  if (missing().includes('redis-server')) return;
  engine = await Engine.start('redis');
});
afterAll(() => engine?.stop());
afterEach(() => {
  Peer.leaveAll();
  Run.endAll();
});

const isGone = (pid: number) => {
  try {
    return process.kill(pid, 0) && false;
  } catch {
    return true;
  }
};

/** The service as several workers. */
async function serviceOf(env: Record<string, string> = {}, ...flags: string[]) {
  const run = await Run.service({ WORKERS: '2', FEED_BROKER: engine?.url ?? '', FEED_PUBLISH_KEY: 'key', ...env }, flags);
  const { url, port } = run;
  // A new connection each time: whichever worker takes it.
  const json = async (path: string) => (await fetch(url + path, { headers: { connection: 'close' } })).json();
  const counts = (query = '') => json(`/health/connections${query}`) as Promise<Counts>;
  const pids = async () => (await counts()).workers.pids.sort((a, b) => a - b);
  const ownCounts = async () => {
    const all = new Map<number, Counts>();
    const wanted = await pids();
    await until(async () => {
      const own = await counts('?scope=worker');
      all.set(own.pid, own);
      return wanted.every((pid) => all.has(pid));
    });
    return [...all.values()];
  };
  const follow = async (...paths: string[]) => {
    const peers = await Promise.all(paths.map((path) => Peer.get(port, path)));
    await Promise.all(peers.map((peer) => peer.sees('\r\n\r\n')));
    return peers;
  };
  /** Connections until each worker has one: three at a time, since workers take turns. */
  const followOnEach = async (path: string) => {
    const peers: Peer[] = [];
    do peers.push(...(await follow(path, path, path)));
    while ((await ownCounts()).some(({ open }) => open === 0));
    return peers;
  };
  const publish = (feed: string, body: string) =>
    fetch(`${url}/test/${feed}`, { method: 'POST', body, headers: { authorization: 'Bearer key', 'content-type': 'text/plain' } });
  return { run, url, port, counts, ownCounts, pids, follow, followOnEach, publish };
}

describeWithRedis.each(platforms)('workers on %s', (platform) => {
  it('serve on one port, told once, and each of them counts for all', async () => {
    const service = await serviceOf({ FEED_ADAPTER: platform, FEED_PUBLISH_KEY: '', FEED_NODE_NAME: 'here' });
    expect(service.run.out.match(/http:\/\/[^/ ]+/g)?.every((url) => url === service.url)).toBe(true);
    expect(service.run.out).toContain(`serves on ${service.url} (${platform}, 2 workers); health: `);
    expect(service.run.out.trimEnd().split('\n')).toHaveLength(3);
    const peers = await service.followOnEach('/test/1');
    peers.push(...(await service.follow(...Array.from({ length: 20 }, (_, n) => `/test/${n}`))));
    const { length } = peers;
    const all = await service.counts();
    expect(all).toMatchObject({ open: length, opened: length, handedOver: length, workers: { missing: [] } });
    const own = await service.ownCounts();
    expect(own.map(({ open }) => open).reduce((a, b) => a + b)).toBe(length);
    expect(own.map(({ limit }) => limit).reduce((a, b) => a + b)).toBe(all.limit);
    expect(all.rssBytes).toBeGreaterThan(Math.max(...own.map(({ rssBytes }) => rssBytes)));
    expect(await service.counts('?id=1')).toMatchObject({ id: '1', open: length - 19 });
    await until(async () => (await service.counts('?scope=cluster')).open === length);
    expect(await service.counts('?scope=cluster')).toMatchObject({
      nodes: expect.arrayContaining([expect.objectContaining({ name: 'here-2' })]),
    });
    // The key that was told is every worker's, and what one of them is given reaches the followers of all.
    const key = /Bearer ([^']+)/.exec(service.run.out)?.[1];
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'text/plain', connection: 'close' };
    for (const body of ['one', 'two', 'three']) {
      expect((await fetch(`${service.url}/test/1`, { method: 'POST', body, headers })).status).toBe(201);
    }
    for (const peer of peers.slice(0, length - 20)) await peer.sees(/one\n.*two\n.*three\n/s);
    Peer.leaveAll();
    await until(async () => (await service.counts()).open === 0);
    expect((await service.counts()).closed.client).toBe(length);
    service.run.child.kill('SIGTERM');
    expect(await service.run.exit).toBe(0);
    expect(service.run.err).toBe('');
  });

  it('end their feeds in good order, each of them, when the primary is told to', async () => {
    const service = await serviceOf({ FEED_ADAPTER: platform, FEED_DRAIN_MS: '5000' });
    const pids = await service.pids();
    const peers = await service.followOnEach('/test/1');
    const begun = performance.now();
    // As a terminal does: everybody is told.
    for (const pid of [service.run.child.pid as number, ...pids]) process.kill(pid, 'SIGINT');
    await Promise.all(peers.map((peer) => peer.closed()));
    expect(peers.every((peer) => peer.isComplete)).toBe(true);
    expect(await service.run.exit).toBe(0);
    expect(performance.now() - begun).toBeLessThan(6000);
    expect(pids.every(isGone)).toBe(true);
    expect(service.run.err).toBe('');
  });

  it('are replaced where one dies, which the others do not notice', async () => {
    const service = await serviceOf({ FEED_ADAPTER: platform });
    const peers = await service.followOnEach('/test/1');
    const [killed, other] = (await service.pids()) as [number, number];
    process.kill(killed, 'SIGKILL');
    await until(() => /restarting it in/.test(service.run.err));
    expect(service.run.err).toMatch(new RegExp(`^worker \\d \\(pid ${killed}\\) was killed by SIGKILL; restarting it in 0\\.\\d s\\n$`));
    await until(async () => (await service.pids()).length === 2);
    expect(await service.pids()).toContain(other);
    expect(await service.pids()).not.toContain(killed);
    await until(() => peers.some(({ socket }) => socket.destroyed));
    const left = peers.filter(({ socket }) => !socket.destroyed);
    expect(left.length).toBeGreaterThan(0);
    expect((await service.counts()).open).toBe(left.length);
    const added = await service.followOnEach('/test/1');
    await service.publish('1', 'still here');
    for (const peer of [...left, ...added]) await peer.sees('still here');
  });
});

describeWithRedis('workers', () => {
  it('have the flags that the primary was started with', async () => {
    const service = await serviceOf({}, '--expose-gc');
    for (const pid of await service.pids()) {
      expect(await readFile(`/proc/${pid}/cmdline`, 'utf8')).toContain('--expose-gc');
    }
  });

  it('end at once at a second signal, and with a primary that is killed', async () => {
    for (const end of ['signals', 'kill']) {
      const service = await serviceOf({ FEED_DRAIN_MS: '600000', FEED_LAME_DUCK_MS: '600000' });
      const pids = await service.pids();
      await service.followOnEach('/test/1');
      if (end === 'signals') {
        service.run.child.kill('SIGTERM');
        await until(async () => (await fetch(`${service.url}/health/ready`)).status === 503);
        service.run.child.kill('SIGTERM');
        expect(await service.run.exit).toBe(143);
      } else {
        service.run.child.kill('SIGKILL');
      }
      await until(() => pids.every(isGone));
    }
  });

  it('are not replaced while the service ends', async () => {
    const service = await serviceOf({ FEED_DRAIN_MS: '600000', FEED_LAME_DUCK_MS: '600000' });
    const pids = await service.pids();
    await service.followOnEach('/test/1');
    service.run.child.kill('SIGTERM');
    await until(async () => (await fetch(`${service.url}/health/ready`)).status === 503);
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    expect(await service.run.exit).toBe(0);
    expect(service.run.err).toBe('');
  });

  it('are left out and named while they do not answer, and killed where they do not end', async () => {
    const service = await serviceOf({ FEED_DRAIN_MS: '100' });
    const [halted, other] = (await service.pids()) as [number, number];
    const keptOpen = await Peer.to(service.port);
    const ask = (pid: number) => async () => {
      keptOpen.text = '';
      keptOpen.send('GET /health/connections?scope=worker HTTP/1.1\r\nHost: x\r\n\r\n');
      await keptOpen.sees(/"pid":\d+/);
      return keptOpen.text.includes(`"pid":${pid},`);
    };
    const stopped = (await ask(other)()) ? halted : other;
    process.kill(stopped, 'SIGSTOP');
    keptOpen.text = '';
    keptOpen.send('GET /health/connections HTTP/1.1\r\nHost: x\r\n\r\n');
    await keptOpen.sees(`"workers":{"pids":[${stopped === halted ? other : halted}],"missing":[${stopped}]}`);
    service.run.child.kill('SIGTERM');
    expect(await service.run.exit).toBe(1);
    expect(isGone(stopped)).toBe(true);
  });

  it.each(platforms)('tell once, on %s, why they could not start', async (platform) => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const run = Run.node(['dist/main.js'], { PORT: `${port}`, WORKERS: '3', FEED_BROKER: engine?.url ?? '', FEED_ADAPTER: platform });
    expect(await run.exit).toBe(1);
    expect(run.err).toBe(`PORT ${port} on 127.0.0.1 is in use: stop the process that listens there, or set PORT to another port\n`);
    expect(run.out).toBe('');
    taken.close();
  });

  it.each([
    ['redis://user:secret@', /^FEED_BROKER is invalid: The URL of Redis must be [^@]*\n$/],
    ['memory', /^FEED_BROKER must be redis:\/\/… or nats:\/\/… with WORKERS=2: [^\n]*\n$/],
  ])('do not start with FEED_BROKER=%s', async (broker, line) => {
    const run = Run.node(['dist/main.js'], { PORT: '0', WORKERS: '2', FEED_BROKER: broker });
    expect(await run.exit).toBe(1);
    expect(run.err).toMatch(line);
    expect(run.out).toBe('');
  });
});
