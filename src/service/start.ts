import { type Config, ConfigError } from './config.js';
import { tell } from './log.js';
import type { Started } from './workers/messages.js';
import { WorkersStartError } from './workers/primary.js';

/** Says, once, how the service is reached, and what else whoever started it should know. In JSON that is a line without secrets. */
export function announce(config: Config, { port, warnings }: Started, madeKey: string | undefined): void {
  const url = `http://${reachable(config.host)}:${port}`;
  const feed = `${url}/${config.path.replace(/^\/|\/$/g, '')}/42`;
  const workers = config.workers > 1 ? `, ${config.workers} workers` : '';
  const serves = `nestjs-feed serves on ${url} (${config.adapter}${workers}); health: ${url}/health`;
  const lines = [serves, `try it: curl -N ${feed}`];
  if (madeKey) lines.push(`publish: curl -H 'Authorization: Bearer ${madeKey}' -H 'Content-Type: text/plain' -d hello ${feed}`);
  // A log is read by many, and a key in it would let all of them publish.
  const publishing = madeKey ? '; FEED_PUBLISH_KEY is not set, and the key made in its place is not told here' : '';
  const message = config.log === 'json' ? `${serves}${publishing}` : lines.join('\n');
  tell(config.log, 'log', message, { url, adapter: config.adapter, workers: config.workers });
  for (const warning of warnings) tell(config.log, 'warn', warning);
}

/** Where a client on this machine reaches a server that listens on `host`. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

/**
 * Why the service did not start: in a line, where it is something that whoever starts it can mend.
 *
 * @param config what is known of it by then
 */
export function reasonOf(error: unknown, { host, port }: Partial<Config> = {}): string {
  if (error instanceof ConfigError || error instanceof WorkersStartError) return error.message;
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return `PORT ${port} on ${host} is in use: end what listens there, or set PORT to another one`;
    case 'EACCES':
      return `PORT ${port} on ${host} may not be opened by this user: ports below 1024 are often reserved`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `HOST ${host} is not an address of this machine`;
    default:
      return (error as Error).stack ?? String(error);
  }
}
