import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createFeedClient, type FeedClient, type FeedClientOptions } from '../../src/client/index.js';
import { until } from './until.js';

/** Before something is looked for that must not happen. */
export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A request, which the test answers. */
export class Asked {
  readonly url: URL;

  constructor(
    request: IncomingMessage,
    private readonly response: ServerResponse,
  ) {
    this.url = new URL(request.url ?? '', base);
    response.on('error', () => {});
  }

  get since(): string[] {
    return this.url.searchParams.getAll('since');
  }

  /** Whether its client still waits for it. */
  get isOpen(): boolean {
    return !this.response.closed;
  }

  answer(status: number, body: unknown = {}, headers: Record<string, string> = {}): void {
    this.response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(body));
  }

  /** Answers with a stream that begins there. */
  open(position?: string): this {
    this.response.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
    return this.line({ position, heartbeatMs: 25_000 });
  }

  line(...lines: object[]): this {
    this.response.write(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    return this;
  }

  cut(): void {
    this.response.destroy();
  }

  finish(): void {
    this.response.end();
  }
}

/** What each client has asked of the server, by a header of its own. */
const askedBy = new Map<string, Asked[]>();
const server = createServer((request, response) => askedBy.get(`${request.headers['x-client']}`)?.push(new Asked(request, response)));
/** Where the server is. */
export let base = '';

/** A server that answers as tests say; for `beforeAll()`. */
export async function startServer(): Promise<void> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export function stopServer(): void {
  server.closeAllConnections();
  server.close();
}

export const message = (n: number, feed = 'a', epoch = 'e') => ({ id: `${epoch}-${n}/${feed}`, feed, time: 1, data: n });
export const end = (n: number, feed = 'a') => ({ id: `e-${n}/${feed}`, feed, type: 'end', time: 1, data: { reason: 'completed' } });

let clients: FeedClient[] = [];

/** Closes the clients that `wire()` has made. */
export function closeClients(): void {
  for (const client of clients) client.close();
  clients = [];
}

/** Has a client closed with those that `wire()` has made. */
export function note(client: FeedClient): FeedClient {
  clients.push(client);
  return client;
}

/** A client, and the requests that it makes, which the test answers. */
export const wire = (options: Partial<FeedClientOptions> = {}, create = createFeedClient) => {
  const asked: Asked[] = [];
  const name = `${askedBy.size}`;
  askedBy.set(name, asked);
  const headers = { 'X-Client': name };
  const client = create({ url: `${base}/feeds`, retry: { minMs: 20, maxMs: 40 }, headers, ...options });
  clients.push(client);
  const request = async (n: number): Promise<Asked> => {
    await until(() => asked.length > n);
    return asked[n] as Asked;
  };
  return { client, asked, headers, request, isLive: () => until(() => client.status.value.state === 'live') };
};
export const collect = (messages: { subscribe: ReturnType<FeedClient['follow']>['subscribe'] }) => {
  const all: unknown[] = [];
  const state = { all, isOver: false, error: undefined as unknown };
  messages.subscribe({
    next: ({ type, data }) => all.push(type ?? data),
    error: (error: unknown) => Object.assign(state, { error, isOver: true }),
    complete: () => Object.assign(state, { isOver: true }),
  });
  return state;
};
