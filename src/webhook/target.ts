import http, { type Agent, type ClientRequest, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { retryAfter } from './retry-after.js';

/** Why a request failed. */
export interface Failure {
  /** For a log. */
  reason: string;
  /** Whether the target rejected the request itself, so that a retry may never succeed. */
  isRejection: boolean;
  /** The delay that the target asked for, in milliseconds. */
  retryAfterMs: number;
}

/** The statuses of a target, or of a proxy in front of it, that is down or overloaded (RFC 9110 section 15, RFC 6585 section 4). */
const unavailable = new Set([429, 502, 503, 504]);

/**
 * Posts a webhook's requests to its URL, one at a time, on one connection. The target is not trusted: it may be down, never respond, or respond
 * with invalid or endless data. Redirects are not followed: what was signed for one target must not be sent to another.
 */
export class Target {
  /** The URL for logs: without credentials and query. */
  readonly name: string;
  private readonly client: typeof http | typeof https;
  private readonly agent: Agent;
  private request: ClientRequest | undefined;

  /** @param timeoutMs the longest time until the response begins, in milliseconds */
  constructor(
    private readonly url: URL,
    private readonly timeoutMs: number,
  ) {
    this.name = url.origin + url.pathname;
    this.client = url.protocol === 'https:' ? https : http;
    this.agent = new this.client.Agent({ keepAlive: true, maxFreeSockets: 1 });
  }

  /**
   * Posts a JSON text.
   *
   * @returns the failure; undefined if the response had a 2xx status
   */
  async post(body: string, headers: Record<string, string>): Promise<Failure | undefined> {
    try {
      const response = await this.exchange(body, { 'content-type': 'application/json', 'user-agent': 'nestjs-feed', ...headers });
      const status = response.statusCode as number;
      if (status >= 200 && status < 300) return undefined;
      return {
        reason: `response status ${status}`,
        isRejection: !unavailable.has(status),
        retryAfterMs: retryAfter(response.headers['retry-after']),
      };
    } catch (error) {
      const { message, code } = error as NodeJS.ErrnoException;
      // If none of several addresses of a host can be reached, the message is empty.
      return { reason: message || String(code), isRejection: false, retryAfterMs: 0 };
    }
  }

  /** Aborts the current request and closes the connection. */
  destroy(): void {
    this.request?.destroy(new Error('the webhook was closed'));
    this.agent.destroy();
  }

  private exchange(body: string, headers: Record<string, string>): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const request = this.client.request(this.url, { method: 'POST', agent: this.agent, headers });
      const timeout = new Error(`no response within ${this.timeoutMs} ms`);
      const timer = setTimeout(() => request.destroy(timeout), this.timeoutMs).unref();
      let response: IncomingMessage | undefined;
      this.request = request;
      request.on('socket', (socket) => socket.unref());
      request.on('response', (message) => {
        response = message.resume();
        // A body that arrived with the head has been read by then, and the connection is kept alive. A later one is not waited for.
        setImmediate(() => request.destroy());
      });
      request.on('error', (error: NodeJS.ErrnoException) => {
        if (response) return;
        // The target closed an idle connection, which is no failure: a new connection is tried.
        const isStale = request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
        if (isStale) resolve(this.exchange(body, headers));
        else reject(error);
      });
      // The last event of every request, and the only one after a response with status 101.
      request.on('close', () => {
        clearTimeout(timer);
        if (response) resolve(response);
        else reject(new Error('the connection was closed without a response'));
      });
      request.end(body);
    });
  }
}
