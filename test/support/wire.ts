import { createFeedClient, type FeedClient, type FeedClientOptions } from '../../src/client/index.js';

export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
/** Waits for a short time only: what is not so by then hangs. */
export const soon = async (isSo: () => boolean, ms = 1500): Promise<boolean> => {
  for (const until = Date.now() + ms; Date.now() < until && !isSo(); ) await pause(5);
  return isSo();
};

/** A request, as a server would have it. */
export class Asked {
  private resolve: (response: Response) => void = () => {};
  private reject: (error: unknown) => void = () => {};
  private body: ReadableStreamDefaultController<Uint8Array> | undefined;
  readonly response = new Promise<Response>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });
  constructor(
    readonly url: URL,
    readonly signal: AbortSignal,
  ) {
    signal.addEventListener('abort', () => this.cut(signal.reason));
  }
  get since(): string[] {
    return this.url.searchParams.getAll('since');
  }
  get isOpen(): boolean {
    return !this.signal.aborted;
  }
  answer(status: number, body: unknown = {}, headers: Record<string, string> = {}): void {
    this.resolve(new Response(status === 204 ? null : JSON.stringify(body), { status, headers }));
  }
  /** Answers with a stream that begins there. */
  open(position?: string): this {
    const start = (body: ReadableStreamDefaultController<Uint8Array>) => {
      this.body = body;
    };
    this.resolve(new Response(new ReadableStream<Uint8Array>({ start })));
    return this.line({ position, heartbeatMs: 25_000 });
  }
  line(...lines: object[]): this {
    for (const line of lines) this.body?.enqueue(new TextEncoder().encode(`${JSON.stringify(line)}\n`));
    return this;
  }
  cut(error: unknown = new TypeError('cut')): void {
    this.reject(error);
    try {
      this.body?.error(error);
    } catch {}
  }
  finish(): void {
    try {
      this.body?.close();
    } catch {}
  }
}
export const message = (n: number, feed = 'a', epoch = 'e') => ({ id: `${epoch}-${n}/${feed}`, feed, time: 1, data: n });

let clients: FeedClient[] = [];
/** Closes the clients that `wire()` has made. */
export const closeClients = () => {
  for (const client of clients) client.close();
  clients = [];
};

/** A client whose requests a test answers. */
export const wire = (options: Partial<FeedClientOptions> = {}) => {
  const asked: Asked[] = [];
  const fetch = ((url: URL, { signal }: { signal: AbortSignal }) => {
    const request = new Asked(url, signal);
    request.response.catch(() => {});
    asked.push(request);
    return request.response;
  }) as unknown as typeof globalThis.fetch;
  const client = createFeedClient({ url: 'http://feeds.test/feeds', retry: { minMs: 20, maxMs: 40 }, fetch, ...options });
  clients.push(client);
  const request = async (n: number): Promise<Asked> => {
    if (!(await soon(() => asked.length > n))) throw new Error(`${asked.length} requests, not ${n + 1}`);
    return asked[n] as Asked;
  };
  return { client, asked, request, isLive: () => soon(() => client.status.value.state === 'live') };
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
