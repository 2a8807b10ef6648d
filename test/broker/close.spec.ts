import { spawnSync } from 'node:child_process';
import { describeBrokers, engineOf } from '../support/brokers.js';

const factories = {
  memory: () =>
    "const { MemoryBroker } = await import('./dist/feed/broker/memory/memory-broker.js'); const make = (c) => new MemoryBroker(c);",
  redis: (port: number) =>
    `const { redisBroker } = await import('nestjs-feed/redis'); const make = redisBroker('redis://127.0.0.1:${port}');`,
  nats: (port: number) => `const { natsBroker } = await import('nestjs-feed/nats'); const make = natsBroker('nats://127.0.0.1:${port}');`,
};

describeBrokers('closing a broker:', (kind) => {
  if (kind.client !== undefined) return;

  it('leaves nothing behind that keeps the process alive', async () => {
    const engine = await engineOf(kind);
    const script = `${factories[kind.name](engine?.port ?? 0)}
      const bounds = { historyLength: 10, historyTtlMs: 60_000, historyBytes: 1e5, historyTotalBytes: 1e6, idempotencyMs: 60_000 };
      const broker = await make({ ...bounds, log: console.error });
      await broker.subscribe('a', { next() {}, lost() {} });
      await broker.publish('a', { type: undefined, text: 'x', isJson: false }, { key: 'k' });
      await broker.read('a', 'earliest', 1000);
      await broker.close();
      console.log(process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout'));`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
    expect({ stdout: stdout.trim(), stderr }).toEqual({ stdout: '[]', stderr: '' });
  });
});
