import type { Server, ServerResponse } from 'node:http';
import { decoded, splitTarget } from '../feed/http/target.js';

/** Whether a request's target is a path or below it, also where a router has to decode it first. */
export function isBelow(path: string, target: string): boolean {
  const asked = decoded(splitTarget(target)[0]);
  return asked.startsWith(path) && (asked.length === path.length || asked[path.length] === '/');
}

/**
 * Sets headers of all answers at a path and below it.
 *
 * This is no middleware: on Fastify a single one takes every request through a second router, and on Express each is one more to pass by.
 */
export function setHeadersBelow(server: Server, path: string, headers: Readonly<Record<string, string>>): void {
  const all = Object.entries(headers);
  server.prependListener('request', ({ url = '' }, response: ServerResponse) => {
    if (isBelow(path, url)) for (const [name, value] of all) response.setHeader(name, value);
  });
}
