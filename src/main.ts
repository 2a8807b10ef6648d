import cluster from 'node:cluster';
import { randomBytes } from 'node:crypto';
import { type Config, readConfig } from './service/config.js';
import { tell } from './service/log.js';
import { onSignals } from './service/signals.js';
import { announce, reasonOf } from './service/start.js';
import { freePort } from './service/workers/free-port.js';
import type { Started } from './service/workers/messages.js';
import { Primary } from './service/workers/primary.js';

/** Serves in this process alone. */
async function serveAlone(config: Config): Promise<Started> {
  const { serve } = await import('./service/serve.js');
  return serve(config);
}

/** Keeps workers running that serve. This process, the primary, does not, and loads nothing that it would need for that. */
async function keepWorkers(config: Config): Promise<Started> {
  const { workers, host, port, feed, shutdownMs } = config;
  const shared = { PORT: `${port || (await freePort(host))}`, FEED_PUBLISH_KEY: feed.publishKey };
  const primary = new Primary({
    workers,
    env: (number) => ({ ...shared, FEED_WORKER: `${number}`, FEED_NODE_NAME: feed.nodeName && `${feed.nodeName}-${number}` }),
    shutdownMs,
    tell: (line) => tell(config.log, 'warn', line),
  });
  onSignals(
    () => void primary.drain().then((isOrderly) => process.exit(isOrderly ? 0 : 1)),
    () => primary.kill(),
  );
  return primary.start();
}

/** Serves beside other workers; the primary says how that goes. */
async function work(config: Config): Promise<never> {
  const { WorkerLink } = await import('./service/workers/worker-link.js');
  const link = new WorkerLink(config.worker);
  try {
    const { serve } = await import('./service/serve.js');
    const { port, warnings, close } = await serve(config, link);
    link.started({ port, warnings });
    await link.drained;
    await close();
    process.exit(0);
  } catch (error) {
    await link.failed(reasonOf(error, config));
    process.exit(1);
  }
}

let config: Config | undefined;
try {
  config = readConfig(process.env);
  if (cluster.isWorker && config.workers > 1) await work(config);
  const madeKey = config.feed.publishKey === undefined ? randomBytes(24).toString('base64url') : undefined;
  config.feed.publishKey ??= madeKey;
  announce(config, await (config.workers > 1 ? keepWorkers : serveAlone)(config), madeKey);
} catch (error) {
  tell(config?.log ?? 'text', 'error', reasonOf(error, config));
  process.exitCode = 1;
}
