import { type Config, ConfigError } from './config.js';
import { log } from './log.js';
import type { Started } from './workers/messages.js';
import { WorkersStartError } from './workers/primary.js';

/**
 * Logs the service's addresses, commands to try it, and the warnings of its start. As JSON that is a line without secrets.
 *
 * @param generatedKey the publish key, where none was configured
 */
export function logStart(config: Config, { port, warnings }: Started, generatedKey: string | undefined): void {
  const url = `http://${reachable(config.host)}:${port}`;
  const feed = `${url}/${config.path}/42`;
  const workers = config.workers > 1 ? `, ${config.workers} workers` : '';
  const serves = `nestjs-feed serves on ${url} (${config.adapter}${workers}); health: ${url}/health`;
  const lines = [serves, `try it: curl -N ${feed}`];
  if (generatedKey) lines.push(`publish: curl -H 'Authorization: Bearer ${generatedKey}' -H 'Content-Type: text/plain' -d hello ${feed}`);
  // Everyone who can read the log could publish with a key in it.
  const publishing = generatedKey ? '; FEED_PUBLISH_KEY is not set: the generated key is not logged, set one to publish' : '';
  const message = config.log === 'json' ? `${serves}${publishing}` : lines.join('\n');
  log(config.log, 'log', message, { url, adapter: config.adapter, workers: config.workers });
  for (const warning of warnings) log(config.log, 'warn', warning);
}

/** The host under which a client on this machine reaches a server that listens on `host`. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

/**
 * Why the service did not start: a line where the operator can correct it, else the error's stack.
 *
 * @param config as far as it is known
 */
export function startFailure(error: unknown, { host, port }: Partial<Config> = {}): string {
  if (error instanceof ConfigError || error instanceof WorkersStartError) return error.message;
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return `PORT ${port} on ${host} is in use: stop the process that listens there, or set PORT to another port`;
    case 'EACCES':
      return `PORT ${port} on ${host} needs more privileges: set PORT to 1024 or higher`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `HOST ${host} is not an address of this machine`;
    default:
      return (error as Error).stack ?? String(error);
  }
}
