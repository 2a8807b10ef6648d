import cluster from 'node:cluster';
import { randomBytes } from 'node:crypto';
import { type Config, readConfig } from './service/config.js';
import { log } from './service/log.js';
import { onSignals } from './service/signals.js';
import { logStart, startFailure } from './service/start.js';
import { freePort } from './service/workers/free-port.js';
import type { Started } from './service/workers/messages.js';
import { Primary } from './service/workers/primary.js';

/** Serves in this process alone. */
async function serveAlone(config: Config): Promise<Started> {
  const { serve } = await import('./service/serve.js');
  return serve(config);
}

/** Keeps workers running that serve. This process, the primary, serves nothing, and does not load Nest. */
async function startPrimary(config: Config, generatedKey: string | undefined): Promise<Started> {
  const { workers, host, port, feed, shutdownMs } = config;
  const shared = { PORT: `${await freePort(host, port)}`, ...(generatedKey && { FEED_PUBLISH_KEY: generatedKey }) };
  const primary = new Primary({
    count: workers,
    env: (number) => ({ ...shared, FEED_WORKER: `${number}`, FEED_NODE_NAME: feed.nodeName && `${feed.nodeName}-${number}` }),
    shutdownMs,
    log: (line) => log(config.log, 'warn', line),
  });
  onSignals(
    () => void primary.drain().then((isInTime) => process.exit(isInTime ? 0 : 1)),
    () => primary.kill(),
  );
  return primary.start();
}

/** Serves as one of several workers, until the primary asks it to drain. */
async function runWorker(config: Config): Promise<never> {
  const { WorkerLink } = await import('./service/workers/worker-link.js');
  const link = new WorkerLink(config.worker);
  onSignals(() => link.leave());
  try {
    const { serve } = await import('./service/serve.js');
    const { port, warnings, close, ...accepting } = await serve(config, link);
    link.started({ port, warnings }, accepting);
    await link.drained;
    await close();
    process.exit(0);
  } catch (error) {
    await link.failed(startFailure(error, config));
    process.exit(1);
  }
}

let config: Config | undefined;
try {
  config = readConfig(process.env);
  if (cluster.isWorker && config.workers > 1) await runWorker(config);
  const generatedKey = config.feed.publishKey === undefined ? randomBytes(24).toString('base64url') : undefined;
  config.feed.publishKey ??= generatedKey;
  const started = await (config.workers > 1 ? startPrimary : serveAlone)(config, generatedKey);
  logStart(config, started, generatedKey);
} catch (error) {
  log(config?.log ?? 'text', 'error', startFailure(error, config));
  process.exitCode = 1;
}
