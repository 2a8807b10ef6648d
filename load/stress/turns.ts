// Preloaded into the service with `--import`: tells its parent, when asked to, the longest turn of its event loop since it was last asked.
import { monitorEventLoopDelay } from 'node:perf_hooks';

const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
process.on('message', () => {
  process.send?.(delay.max / 1e6);
  delay.reset();
});
process.once('disconnect', () => process.exit(1));
process.channel?.unref();
