import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { Engine, missing } from '../../tools/engines.mjs';
import { Peer } from '../support/peer.js';
import { type Counts, Run, type Served } from '../support/run.js';
import { samplesOf } from '../support/samples.js';
import { platforms, publishKey, until } from '../support/serve.js';

// Left out where there is no Redis, as `tools/engines.mjs` says, which runs before the tests.
const describeWithRedis = missing().includes('redis-server') ? describe.skip : describe;

let engine: Engine | undefined;
beforeAll(async () => {
  if (missing().includes('redis-server')) return;
  engine = await Engine.start('redis');
});
afterAll(() => engine?.stop());

const isGone = (pid: number) => {
  try {
    return process.kill(pid, 0) && false;
  } catch {
    return true;
  }
};

/** The service as several workers. */
const start = (env: Record<string, string> = {}, ...flags: string[]) =>
  Run.service({ WORKERS: '2', FEED_BROKER: engine?.url ?? '', FEED_PUBLISH_KEY: publishKey, ...env }, flags);

const pidsOf = async (service: Served) => (await service.counts()).workers.pids.sort((a, b) => a - b) as [number, number];

/** The counts of each worker. */
async function ownCounts(service: Served): Promise<Counts[]> {
  const all = new Map<number, Counts>();
  const wanted = await pidsOf(service);
  await until(async () => {
    const own = await service.counts('?scope=worker');
    all.set(own.pid, own);
    return wanted.every((pid) => all.has(pid));
  });
  return [...all.values()];
}

/** Opens feeds until each worker has one: three at a time, since workers take turns. */
async function followOnEach(service: Served, path: string): Promise<Peer[]> {
  const peers: Peer[] = [];
  do peers.push(...(await service.follow(path, path, path)));
  while ((await ownCounts(service)).some(({ open }) => open === 0));
  return peers;
}

describeWithRedis.each(platforms)('workers on %s', (platform) => {
  let service: Served;
  beforeAll(async () => {
    service = await start({ FEED_ADAPTER: platform, FEED_PUBLISH_KEY: '', FEED_NODE_NAME: 'here', FEED_DRAIN_MS: '5000' }, '--expose-gc');
  });
  afterAll(() => Run.endAll());
  afterEach(() => Peer.leaveAll());

  /** Publishes with the key that the service has generated and told. */
  const publish = async (body: string) => {
    const key = /Bearer ([^']+)/.exec(service.out)?.[1];
    expect((await service.publish('/test/1', body, { authorization: `Bearer ${key}`, connection: 'close' })).status).toBe(201);
  };

  it('serve on one port, which is logged once, with the flags of the primary', async () => {
    expect(service.out.match(/http:\/\/[^/ ]+/g)?.every((url) => url === service.url)).toBe(true);
    expect(service.out).toContain(`serves on ${service.url} (${platform}, 2 workers); health: `);
    expect(service.out.trimEnd().split('\n')).toHaveLength(3);
    for (const pid of await pidsOf(service)) expect(await readFile(`/proc/${pid}/cmdline`, 'utf8')).toContain('--expose-gc');
  });

  it('have metrics of their own, which any of them gives for all', async () => {
    await service.follow(...Array.from({ length: 10 }, (_, n) => `/test/${n}`));
    const all = await samplesOf(`${service.url}/metrics`);
    const open = [1, 2].map((worker) => all.get(`feed_connections_open{worker="${worker}"}`) ?? Number.NaN);
    expect((open[0] as number) + (open[1] as number)).toBe(10);
    expect(all.get('feed_connections_closed_total{reason="client",worker="2"}')).toBe(0);
    expect(all.get('feed_publish_duration_seconds_bucket{le="+Inf",worker="1"}')).toBe(0);
    expect(all.get('process_start_time_seconds{worker="2"}')).toBeGreaterThan(1e9);
    expect([...all.keys()].filter((key) => !/\bworker="[12]"/.test(key))).toEqual([]);
    const one = await samplesOf(`${service.url}/metrics?scope=worker`);
    expect([...one.keys()].filter((key) => key.startsWith('feed_connections_open{'))).toHaveLength(1);
    Peer.leaveAll();
    await service.isEmpty();
  });

  it('count for all, and pass messages on to each other', async () => {
    const peers = await followOnEach(service, '/test/1');
    peers.push(...(await service.follow(...Array.from({ length: 20 }, (_, n) => `/test/${n}`))));
    const { length } = peers;
    const all = await service.counts();
    expect(all).toMatchObject({ open: length, opened: 10 + length, handedOver: length, workers: { missing: [] } });
    const own = await ownCounts(service);
    expect(own.map(({ open }) => open).reduce((a, b) => a + b)).toBe(length);
    expect(own.map(({ limit }) => limit).reduce((a, b) => a + b)).toBe(all.limit);
    expect(all.rssBytes).toBeGreaterThan(Math.max(...own.map(({ rssBytes }) => rssBytes)));
    expect(await service.counts('?id=1')).toMatchObject({ id: '1', open: length - 19 });
    await until(async () => {
      const { open, nodes = [] } = await service.counts('?scope=cluster');
      return open === length && nodes.some(({ name }) => name === 'here-2');
    });
    for (const body of ['one', 'two', 'three']) await publish(body);
    for (const peer of peers.slice(0, length - 20)) await peer.sees(/one\n.*two\n.*three\n/s);
    Peer.leaveAll();
    await service.isEmpty();
    expect((await service.counts()).closed.client).toBe(10 + length);
  });

  it('are replaced where one dies, and the connections of the others go on', async () => {
    const peers = await followOnEach(service, '/test/1');
    const [killed, other] = await pidsOf(service);
    process.kill(killed, 'SIGKILL');
    await until(() => /restarting it in/.test(service.err));
    expect(service.err).toMatch(new RegExp(`^worker \\d \\(pid ${killed}\\) was killed by SIGKILL; restarting it in 0\\.\\d s\\n$`));
    service.err = '';
    await until(async () => (await pidsOf(service)).length === 2);
    expect(await pidsOf(service)).toContain(other);
    expect(await pidsOf(service)).not.toContain(killed);
    await until(() => peers.some(({ socket }) => socket.destroyed));
    const left = peers.filter(({ socket }) => !socket.destroyed);
    expect(left.length).toBeGreaterThan(0);
    expect((await service.counts()).open).toBe(left.length);
    const added = await followOnEach(service, '/test/1');
    await publish('still here');
    for (const peer of [...left, ...added]) await peer.sees('still here');
  });

  it('end each of their feeds in good order when a terminal interrupts all of them', async () => {
    const pids = await pidsOf(service);
    const peers = await followOnEach(service, '/test/1');
    for (const pid of pids) process.kill(pid, 'SIGINT');
    await service.stop('SIGINT');
    await Promise.all(peers.map((peer) => peer.closed()));
    expect(peers.every((peer) => peer.isComplete)).toBe(true);
    expect(pids.every(isGone)).toBe(true);
  });
});

/** Waits until one worker alone accepts connections. The kernel may reset those that come just when another one stops. */
async function acceptsAlone(service: Served, pid: number): Promise<void> {
  const ask = () => service.counts('?scope=worker').catch(() => undefined);
  await until(async () => (await Promise.all(Array.from({ length: 30 }, ask))).every((own) => own?.pid === pid));
}

describeWithRedis.each(platforms)('workers on %s', (platform) => {
  afterEach(() => Run.endAll());

  it('leave new connections to the others while they drain, and are replaced', async () => {
    const service = await start({ FEED_ADAPTER: platform, FEED_DRAIN_MS: '600000', FEED_LAME_DUCK_MS: '600000' });
    const [leaving, staying] = await pidsOf(service);
    const peers = await followOnEach(service, '/test/1');
    process.kill(leaving, 'SIGTERM');
    await acceptsAlone(service, staying);
    const added = await service.follow(...Array.from({ length: 20 }, (_, n) => `/test/${n}`));
    expect(added.every(({ status }) => status === 200)).toBe(true);
    await service.publish('/test/1', 'to all');
    for (const peer of peers) await peer.sees('to all');
    process.kill(leaving, 'SIGKILL');
    await until(() => /restarting it in/.test(service.err));
    await until(async () => (await pidsOf(service)).length === 2);
  });

  it('leave new connections to the others while they have no room, and take them again where none has', async () => {
    const service = await start({ FEED_ADAPTER: platform, FEED_MAX_CONNECTIONS: '20' });
    const [killed, other] = await pidsOf(service);
    const path = '/test/1';
    const add = async () => {
      const [peer] = await service.follow(path);
      return peer?.status;
    };
    /** As `until()`. The kernel may reset a connection that comes just when a worker stops. */
    const comes = (holds: () => Promise<boolean>) => until(() => holds().catch(() => false));
    // One that is refused comes again, until both are full.
    const areFull = async () => (await add()) !== 200 && (await service.counts()).open === 40;
    await comes(areFull);
    process.kill(killed, 'SIGKILL');
    await until(() => /restarting it in/.test(service.err));
    let replacement = 0;
    await comes(async () => {
      const pids = await pidsOf(service);
      replacement = pids.find((pid) => pid !== other) ?? killed;
      return pids.length === 2 && replacement !== killed;
    });
    await acceptsAlone(service, replacement);
    for (let n = 0; n < 18; n += 1) expect(await add()).toBe(200);
    await comes(areFull);
  });
});

describeWithRedis('workers', () => {
  afterEach(() => Run.endAll());

  it('end at once at a second signal, and with a primary that is killed', async () => {
    for (const end of ['signals', 'kill']) {
      const service = await start({ FEED_DRAIN_MS: '600000', FEED_LAME_DUCK_MS: '600000' });
      const pids = await pidsOf(service);
      await followOnEach(service, '/test/1');
      if (end === 'signals') {
        service.child.kill('SIGTERM');
        await until(async () => (await service.status('/health/ready')) === 503);
        await service.signalUntilGone('SIGTERM');
        expect(await service.exit).toBe(143);
      } else {
        service.child.kill('SIGKILL');
      }
      await until(() => pids.every(isGone));
    }
  });

  it('are not replaced while the service drains', async () => {
    const service = await start({ FEED_DRAIN_MS: '600000', FEED_LAME_DUCK_MS: '600000' });
    const pids = await pidsOf(service);
    await followOnEach(service, '/test/1');
    service.child.kill('SIGTERM');
    await until(async () => (await service.status('/health/ready')) === 503);
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    expect(await service.exit).toBe(0);
    expect(service.err).toBe('');
  });

  it('are named in the counts while they do not answer, and are killed where they do not end', async () => {
    const service = await start({ FEED_DRAIN_MS: '100' });
    const [halted, other] = await pidsOf(service);
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
    service.child.kill('SIGTERM');
    expect(await service.exit).toBe(1);
    expect(isGone(stopped)).toBe(true);
  });

  it.each(platforms)('log once, on %s, why they could not start', async (platform) => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const run = Run.node(['dist/main.js'], { PORT: `${port}`, WORKERS: '3', FEED_BROKER: engine?.url ?? '', FEED_ADAPTER: platform });
    expect(await run.exit).toBe(1);
    expect(run.err).toBe(`PORT ${port} on 127.0.0.1 is in use: stop the process that listens there, or set PORT to another port\n`);
    expect(run.out).toBe('');
    taken.close();
  });
});
