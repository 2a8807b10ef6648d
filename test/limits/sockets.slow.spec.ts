import { missing } from '../../tools/engines.mjs';
import { startEngine } from '../support/brokers.js';
import { Peer } from '../support/peer.js';
import { Run } from '../support/run.js';
import { platforms, until } from '../support/serve.js';

const request = (method: string, path: string, ...fields: string[]) =>
  `${[`${method} ${path} HTTP/1.1`, 'Host: test', ...fields].join('\r\n')}\r\n\r\n`;

/** Opens a connection and sends something on it; resolves with the peer once an answer's head is there, or the connection is closed. */
async function answered(port: number, bytes: string): Promise<Peer> {
  const peer = await Peer.to(port);
  peer.send(bytes);
  await peer.sees('\r\n\r\n').catch(() => {});
  return peer;
}

describe.each(platforms)('the bound on the sockets of a service on %s', (platform) => {
  afterEach(() => Run.endAll());

  /** That feeds are opened and health checks answered, whatever other clients keep open. */
  async function expectRoom(port: number): Promise<void> {
    for (let n = 0; n < 30; n += 1) {
      const [health, ready, feed] = await Promise.all([
        answered(port, request('GET', '/health/live', 'Connection: close')),
        answered(port, request('GET', '/health/ready', 'Connection: close')),
        answered(port, request('GET', `/test/${n}`)),
      ]);
      expect({ n, statuses: [health.status, ready.status, feed.status] }).toEqual({ n, statuses: [200, 200, 200] });
    }
  }

  it.each([
    ['that have been answered', request('GET', '/health/live'), 200],
    ['that have got a 404', request('GET', '/nowhere'), 404],
    ['whose POST was refused before its body came', request('POST', '/test/a', 'Content-Type: text/plain', 'Content-Length: 10'), 401],
  ])('leaves room beside 1,400 connections %s', async (_, bytes, status) => {
    const served = await Run.serviceWith(1024, { FEED_ADAPTER: platform });
    const kept: Peer[] = [];
    while (kept.length < 1400) kept.push(...(await Promise.all(Array.from({ length: 50 }, () => answered(served.port, bytes)))));
    for (const peer of kept) expect([status, 503]).toContain(peer.status);
    await expectRoom(served.port);
  });

  it('leaves room beside 1,400 connections that have sent half a request', async () => {
    const served = await Run.serviceWith(1024, { FEED_ADAPTER: platform });
    for (let n = 0; n < 1400; n += 1) (await Peer.to(served.port)).send('GET /test/a HTTP/1.1\r\nHost: te');
    // None is turned away before it has been idle for two seconds: then there is room for many at once.
    const health = request('GET', '/health/live', 'Connection: close');
    await until(async () => {
      const peers = await Promise.all(Array.from({ length: 60 }, () => answered(served.port, health)));
      return peers.every(({ status }) => status === 200);
    });
    await expectRoom(served.port);
  });

  it.each([1, 2])('answers every one of 3,000 clients that come at once, with %i workers', async (workers) => {
    if (workers > 1 && missing().includes('redis-server')) return;
    const engine = workers > 1 ? await startEngine('redis') : undefined;
    const env = engine && { WORKERS: `${workers}`, FEED_BROKER: engine.url };
    const served = await Run.serviceWith(1000, { FEED_ADAPTER: platform, FEED_MAX_OPEN_DELAY_MS: '0', ...env });
    const peers = await Promise.all(Array.from({ length: 3000 }, (_, n) => answered(served.port, request('GET', `/test/${n}`))));
    const statuses = new Map<number, number>();
    for (const { status } of peers) statuses.set(status, (statuses.get(status) ?? 0) + 1);
    expect([...statuses.keys()].sort()).toEqual([200, 503]);
    expect(statuses.get(200)).toBeGreaterThanOrEqual(800);
    for (const peer of peers) if (peer.status === 503) expect(peer.head).toMatch(/\r\nretry-after: \d+/i);
  });
});
