// Preloaded into the service with `--import`: tells its parent each second what only the process itself can see, and when asked to
// the same after a full collection.
import { setImmediate as turn } from 'node:timers/promises';

/** What a process says of itself. */
export interface Probe {
  isCollected: boolean;
  heapBytes: number;
  externalBytes: number;
  /** How many there are of each kind of resource that keeps the event loop alive: sockets, servers, timers, …. */
  resources: Record<string, number>;
}

function tell(isCollected: boolean): void {
  const resources: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
  const { heapUsed: heapBytes, external: externalBytes } = process.memoryUsage();
  // A parent that is gone takes nothing any more; the service is not to fail for that.
  if (process.connected) process.send?.({ isCollected, heapBytes, externalBytes, resources } satisfies Probe);
}

setInterval(() => tell(false), 1000).unref();
process.on('message', async () => {
  // What finalizers free in the first is collected in the second.
  for (let n = 0; n < 2; n += 1) {
    globalThis.gc?.();
    await turn();
  }
  tell(true);
});
// The service does not outlive the soak, and can end as if it were not watched.
process.once('disconnect', () => process.exit(1));
process.channel?.unref();
