import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, missing } from '../../tools/engines.mjs';
import { Peer } from '../support/peer.js';
import { ProxyProcess } from '../support/proxy-process.js';
import { Run, type Served } from '../support/run.js';
import { platforms, post, publishKey, until } from '../support/serve.js';

/** The shipped configurations as they are, but for addresses, what needs privileges or memory, and shorter times. */
const proxies = {
  nginx: {
    path: 'deploy/nginx.conf',
    changes: (port: number) => [
      ['listen 80 ', `listen 127.0.0.1:${port} `],
      ['/var/log/nginx/', ''],
      ['worker_rlimit_nofile 140000', 'worker_rlimit_nofile 4096'],
      ['worker_connections 131072', 'worker_connections 4096'],
      [
        'http {\n',
        `http {\n${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};\n`).join('')}`,
      ],
    ],
  },
  haproxy: {
    path: 'deploy/haproxy.cfg',
    changes: (port: number) => [
      ['bind :80 ', `bind 127.0.0.1:${port} `],
      ['maxconn 100000', 'maxconn 1000'],
    ],
  },
} as const;

/** nginx or HAProxy with its shipped configuration, before these nodes. */
async function proxyBefore(program: keyof typeof proxies, nodes: number[]): Promise<ProxyProcess> {
  const { path, changes } = proxies[program];
  const port = await freePort();
  const addresses = nodes.map((node, n) => [`feed-${n + 1}:8080`, `127.0.0.1:${node}`] as const);
  let text = readFileSync(path, 'utf8');
  for (const [shipped, here] of [...changes(port), ['90s', `${timeoutMs / 1000}s`], ...addresses] as const) {
    expect(text).toContain(shipped);
    text = text.replaceAll(shipped, here);
  }
  return ProxyProcess.start(program, text, port);
}

/** In the place of the 90 s in which nothing may be said; and heartbeats as often as keep-alive sends them. */
const timeoutMs = 3000;
const heartbeatMs = 1000;

describe.each(Object.keys(proxies) as (keyof typeof proxies)[])('behind %s as it is shipped', (program) => {
  // tools/engines.mjs, which the test command runs first, says so where a program is missing
  const test = missing().includes(program) ? it.skip : it;
  let nodes: Served[] = [];
  let balancer: ProxyProcess;
  let clients = 0;

  beforeEach(async () => {
    if (missing().includes(program)) return;
    const common = { FEED_INTERVAL_MS: '0', FEED_PUBLISH_KEY: publishKey, FEED_HEARTBEAT_MS: `${heartbeatMs}`, FEED_LAME_DUCK_MS: '4000' };
    const limits = { FEED_MAX_CONNECTIONS: '3', FEED_MAX_CONNECTIONS_PER_CLIENT: '1', FEED_TRUSTED_PROXIES: '127.0.0.1' };
    nodes = await Promise.all(platforms.map((platform) => Run.service({ FEED_ADAPTER: platform, ...common, ...limits })));
    // and a third one that is away
    balancer = await proxyBefore(program, [...nodes.map(({ port }) => port), await freePort()]);
  });
  afterEach(async () => {
    Run.endAll();
    await balancer?.stop();
  });

  /** An address that no client had before. */
  const somebody = () => {
    clients += 1;
    return `127.0.1.${clients}`;
  };
  const ask = async (port: number, path: string, from: string, ...headers: string[]) => {
    const peer = await Peer.to(port, false, from);
    peer.send(`GET ${path} HTTP/1.1\r\nHost: test\r\n${headers.map((header) => `${header}\r\n`).join('')}\r\n`);
    await peer.sees('\r\n\r\n');
    return peer;
  };
  const follow = async (port: number, path: string, from = somebody(), ...headers: string[]) => {
    const peer = await ask(port, path, from, ...headers);
    expect(peer.head).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    return peer;
  };
  const publish = (port: number, data: string) => post(`http://127.0.0.1:${port}/test/a`, data);

  test('each message comes at once, and uncompressed; each feed has a connection of its own, and is spread', async () => {
    // Connections that were used before are there to be used again, by what publishes.
    for (let n = 0; n < 4; n += 1) expect((await publish(balancer.port, 'before')).status).toBe(201);
    const gzip = 'Accept-Encoding: gzip';
    const peers = [
      await follow(balancer.port, '/test/a', somebody(), gzip),
      await follow(balancer.port, '/test/a?format=sse', somebody(), gzip),
    ];
    for (const { head } of peers) expect(head).not.toMatch(/content-encoding/i);
    for (let n = 1; n <= 20; n += 1) {
      for (const { port } of nodes) await publish(port, `message ${n}`);
      await until(() => peers.every(({ body }) => body.trimEnd().endsWith(`message ${n}`)));
    }
    expect(await Promise.all(nodes.map((node) => node.counts()))).toMatchObject(nodes.map(() => ({ open: 1, handedOver: 1 })));
  });

  test('a heartbeat keeps a silent feed open for longer than the time-outs', async () => {
    const peer = await follow(balancer.port, '/test/a');
    const timeout = sleep(timeoutMs);
    const heartbeats = Math.ceil(timeoutMs / heartbeatMs) + 2;
    await until(() => peer.body.length >= heartbeats);
    await timeout;
    expect(peer.body).toMatch(/^\n+$/);
    await publish(nodes[0]?.port as number, 'still here');
    await publish(nodes[1]?.port as number, 'still here');
    await until(() => peer.body.endsWith('still here\n'));
  });

  test('the nodes see who the client is, whatever it says, and what they answer it', async () => {
    // Even one at an address that the nodes trust: only the balancer's own word counts.
    for (const one of [somebody(), '127.0.0.1']) {
      await follow(balancer.port, '/test/a', one, 'X-Forwarded-For: 192.0.2.1');
      await follow(balancer.port, '/test/a', one, 'X-Forwarded-For: 192.0.2.2');
      const refused = await ask(balancer.port, '/test/a', one, 'X-Forwarded-For: 192.0.2.3');
      expect(refused.head).toMatch(/^HTTP\/1\.1 429 /);
      expect(refused.head).toMatch(/\r\nretry-after: \d+/i);
    }
  });

  test('a node that is full is passed over; once all are, the client is told when to come back, and one can still publish', async () => {
    for (let n = 0; n < 3; n += 1) await follow(nodes[0]?.port as number, '/test/a');
    for (let n = 0; n < 3; n += 1) await follow(balancer.port, '/test/a');
    expect((await (nodes[0] as Served).counts()).rejectedBy.limit).toBeGreaterThan(0);
    for (let n = 0; n < 3; n += 1) {
      const refused = await ask(balancer.port, '/test/a', somebody());
      expect(refused.head).toMatch(/^HTTP\/1\.1 503 /);
      expect(refused.head).toMatch(/\r\nretry-after: \d+/i);
    }
    expect((await publish(balancer.port, 'news')).status).toBe(201);
  });

  test('a node that drains ends its feeds, and gets no more of them', async () => {
    const [first] = nodes;
    const peers = [await follow(balancer.port, '/test/a'), await follow(balancer.port, '/test/a')];
    first?.child.kill('SIGTERM');
    // Whatever is published meanwhile gets through; nginx, which asks no node, may be about to send one to that which just closes.
    const expected = program === 'nginx' ? [201, 502] : [201];
    const lost: number[] = [];
    for (let n = 0; first?.child.exitCode === null; n += 1) {
      const { status } = await publish(balancer.port, `message ${n}`);
      expect(expected).toContain(status);
      if (status !== 201) lost.push(n);
    }
    expect(lost.length).toBeLessThanOrEqual(2);
    expect(await first?.exit).toBe(0);
    await until(() => peers.filter(({ isComplete }) => isComplete).length === 1);
    for (let n = 0; n < 2; n += 1) await follow(balancer.port, '/test/a');
  });

  test('what nodes say of themselves is not for everybody', async () => {
    const paths = [
      '/health',
      '/HEALTH/connections',
      '/metrics',
      '/%68ealth/live',
      '/dashboard',
      '/Dashboard/feed',
      '/dashboard/files/app.js',
    ];
    for (const path of paths) {
      expect((await ask(balancer.port, path, somebody())).head).toMatch(/^HTTP\/1\.1 403 /);
    }
    expect((await fetch(`http://127.0.0.1:${balancer.port}/health/live`)).status).toBe(200);
  });
});
