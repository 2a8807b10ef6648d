import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { environment, patience, root, Server, type Start } from './server.js';

/** What publishes. */
export const key = 'load';

/** What the service counts (`/health/connections`). */
export interface Counts {
  open: number;
  opened: number;
  closed: Record<string, number>;
  rejected: number;
  rejectedBy: Record<string, number>;
  limit: number;
  feeds: number;
  handedOver: number;
  bufferedBytes: number;
  messages: number;
  eventLoopDelayMs: { p99: number };
  workers?: { pids: number[] };
}

/** What has become of one of several messages: its id, or why it was not stored. */
export type PublishResult = { readonly id: string } | { readonly statusCode: number; readonly code: string };

/**
 * How `npm start` runs a build: its Node flags are part of what is measured. Unless its environment says otherwise, it sends nothing but what is
 * published, and opens whatever is requested, however long that takes on a busy machine.
 *
 * @param folder the checkout that was built
 */
export function startOf(env: NodeJS.ProcessEnv, folder = root): Start {
  const { start } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).scripts;
  const [, args] = /\bnode ((?:--\S+ )*dist\/main\.js)/.exec(start) ?? [];
  if (!args) throw new Error(`${folder}: the start script does not say how dist/main.js is run: ${start}`);
  const own = environment({
    HOST: '127.0.0.1',
    PORT: '0',
    FEED_INTERVAL_MS: '0',
    FEED_MAX_OPEN_DELAY_MS: '0',
    FEED_PUBLISH_KEY: key,
    ...env,
  });
  return { command: process.execPath, args: args.split(' '), env: own, cwd: folder };
}

/** The built service as a process of its own. */
export class Service extends Server {
  // An idle socket is closed before the service would (Node's: 5000 ms), or a request might meet it closing.
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 128, timeout: 2000 });

  /** @param start what is other than `startOf()` has it */
  constructor(env: NodeJS.ProcessEnv, start: Partial<Start> = {}, folder = root) {
    super({ ...startOf(env, folder), ...start });
  }

  /**
   * Asks for something over a kept connection.
   *
   * @param ms how long the answer may take, in milliseconds: then the connection is cut
   */
  ask(
    path: string,
    method = 'GET',
    headers: Record<string, string | number> = {},
    body = '',
    ms = patience,
  ): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const { hostname: host, port } = this.url;
      const signal = AbortSignal.timeout(ms);
      const outgoing = request({ host, port, path, method, headers, agent: this.#agent, signal }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part) => {
          text += part;
        });
        response.on('end', () => resolve({ status: response.statusCode as number, text })).on('error', reject);
      });
      outgoing.on('error', reject).end(body);
    });
  }

  /** Publishes text to a feed, or JSON to several. */
  post(
    path: string,
    body: string,
    type = 'text/plain',
    more: Record<string, string> = {},
    ms = patience,
  ): Promise<{ status: number; text: string }> {
    const headers = { authorization: `Bearer ${key}`, 'content-type': type, 'content-length': Buffer.byteLength(body), ...more };
    return this.ask(path, 'POST', headers, body, ms);
  }

  /**
   * Publishes different messages at once; resolves with what has become of each, or undefined where that is not known of any.
   *
   * @param ms how long the answer may take, in milliseconds: then the connection is cut
   */
  publishAll(messages: readonly { feed: string; data: string; key: string }[], ms = patience): Promise<PublishResult[] | undefined> {
    return this.post('/test', JSON.stringify({ messages }), 'application/json', {}, ms).then(
      ({ status, text }) => (status === 201 || status === 207 ? JSON.parse(text).messages : undefined),
      () => undefined,
    );
  }

  /**
   * Publishes text to a feed; resolves with why it was not acknowledged.
   *
   * @param idempotencyKey what makes it one that can be repeated. Default: none
   */
  publish(feed: string, text: string, idempotencyKey?: string): Promise<string | undefined> {
    const headers: Record<string, string> = idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey };
    return this.post(`/test/${feed}`, text, 'text/plain', headers).then(
      ({ status }) => (status === 201 ? undefined : `answered with status ${status}`),
      (error) => `failed: ${error.message}`,
    );
  }

  /** Publishes so many messages to each of so many feeds, which are numbered; resolves with the ids of their last ones. */
  async fill(feeds: number, each: number, bytes: number): Promise<string[]> {
    const names = Array.from({ length: feeds }, (_, n) => `${n}`);
    let ids: string[] = [];
    for (let n = 0; n < each; n += 1) {
      ids = [];
      for (let from = 0; from < feeds; from += 1000) {
        const body = JSON.stringify({ feeds: names.slice(from, from + 1000), data: `${n} `.padEnd(bytes, 'x') });
        const { status, text } = await this.post('/test', body, 'application/json');
        if (status !== 201) throw new Error(`publishing was answered with ${status}: ${text}`);
        ids.push(...JSON.parse(text).messages.map(({ id }: { id: string }) => id));
      }
    }
    return ids;
  }

  async counts(): Promise<Counts> {
    return JSON.parse((await this.ask('/health/connections')).text);
  }

  /** Closes the connections of the requests that were made. */
  hangUp(): void {
    this.#agent.destroy();
  }
}
