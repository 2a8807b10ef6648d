// Preloaded into the service with `--import`: tells its parent, when asked to, the longest turn of its event loop since it was last asked,
// or what it holds after a collection.
import { monitorEventLoopDelay } from 'node:perf_hooks';

const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
process.on('message', (what) => {
  if (what === 'heap') {
    globalThis.gc?.();
    const { heapUsed, external } = process.memoryUsage();
    process.send?.(heapUsed + external);
  } else {
    process.send?.(delay.max / 1e6);
    delay.reset();
  }
});
process.once('disconnect', () => process.exit(1));
process.channel?.unref();
