import { Engine } from '../../tools/engines.mjs';
import { sum } from '../lib/figures.js';
import { type KernelMemory, kernelMemory, pssBytes } from '../lib/memory.js';
import { atEnd, cpuMs, Server } from '../lib/server.js';
import { Service } from '../lib/service.js';
import type { Clients } from './clients.js';
import { servers } from './servers.js';

/** The one feed that all connections follow, each beside one of its own. */
export const common = 'all';

/** What is measured: processes that serve, and the broker's server that they share. */
export interface System {
  name: string;
  urls: URL[];
  pids: number[];
  /** Those of them that take connections. */
  serving: number[];
  broker?: Engine | undefined;
  path: readonly [before: string, after: string];
  stop(): Promise<unknown>;
  /** Why it has ended connections, as far as it tells. */
  ends(): Promise<string>;
}

export async function startService(intervalMs: number, workers: number, adapter: string): Promise<System> {
  const broker = workers > 1 ? await Engine.start('redis') : undefined;
  if (broker) atEnd(() => broker.stop());
  const service = await new Service({
    FEED_ADAPTER: adapter,
    FEED_INTERVAL_MS: `${intervalMs}`,
    // What is measured is what is asked for: nothing else is sent.
    FEED_HEARTBEAT_MS: '0',
    FEED_MAX_OPEN_DELAY_MS: '500',
    WORKERS: `${workers}`,
    FEED_BROKER: broker?.url ?? 'memory',
  }).listening();
  const serving = (await service.counts()).workers?.pids ?? [service.pid];
  const pids = [...new Set([service.pid, ...serving])];
  const ends = () =>
    service.counts().then(
      ({ closed }) =>
        Object.entries(closed)
          .flatMap(([reason, count]) => (count > 0 ? `${count} ${reason}` : []))
          .join(', '),
      ({ message }) => message,
    );
  const stop = async () => {
    service.hangUp();
    await service.stop();
    await broker?.stop();
  };
  return { name: 'service', urls: [service.url], pids, serving, path: ['/test?id=', `&id=${common}`], stop, ends, broker };
}

/** The floor: as many of them as descriptors demand, on a port each. */
export async function startFloor(directory: string, count: number): Promise<System | string> {
  const floor = servers.find(({ role }) => role === 'floor');
  const start = floor ? await floor.prepare(directory) : 'there is none';
  if (typeof start === 'string') return start;
  const all = Array.from({ length: count }, () => new Server({ ...start, env: { ...start.env, FEED_INTERVAL_MS: '0' } }));
  await Promise.all(all.map((server) => server.listening()));
  const stop = () => Promise.all(all.map((server) => server.stop()));
  const pids = all.map(({ pid }) => pid);
  return { name: 'C epoll', urls: all.map(({ url }) => url), pids, serving: pids, path: ['/test/', ''], stop, ends: async () => '' };
}

/** CPU time that processes have had so far, in milliseconds. */
export const cpuOf = ({ pids, broker }: System, clients: Clients) => ({
  server: sum(pids.map(cpuMs)),
  broker: broker ? cpuMs(broker.pid) : 0,
  clients: clients.cpuMs,
});
export type Cpu = ReturnType<typeof cpuOf>;
export const since = (before: Cpu, after: Cpu): Cpu => ({
  server: after.server - before.server,
  broker: after.broker - before.broker,
  clients: after.clients - before.clients,
});

/** What processes and the kernel hold, in bytes. */
export interface Memory {
  service: number;
  largest: number;
  broker: number;
  clients: number;
  kernel: KernelMemory;
}

export const memoryOf = ({ pids, broker }: System, clients?: Clients): Memory => ({
  service: pssBytes(pids),
  largest: Math.max(...pids.map((pid) => pssBytes([pid]))),
  broker: broker ? pssBytes([broker.pid]) : 0,
  clients: clients ? pssBytes(clients.pids) : 0,
  kernel: kernelMemory(),
});

/** What all of it holds, clients and kernel included, in bytes. */
export const inAll = (before: Memory, { service, broker, clients, kernel }: Memory): number =>
  service + broker + clients + kernel.slab - before.kernel.slab + kernel.buffers - before.kernel.buffers;
