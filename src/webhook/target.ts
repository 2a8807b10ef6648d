import http, { type Agent, type ClientRequest, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { retryAfter } from './retry.js';

/** Why a request failed. */
export interface Failure {
  /** In words, for a log. */
  reason: string;
  /** Whether the target answered, and not that it cannot at the moment: the same request may never be taken. */
  isRefusal: boolean;
  /** How long the target wants to be left alone, in milliseconds. */
  retryAfterMs: number;
}

/** What a target, or a proxy in front of it, answers while it is down or has too much to do (RFC 9110 section 15, RFC 6585 section 4). */
const unavailable = new Set([429, 502, 503, 504]);

/**
 * Whom a webhook's requests go to, one after the other on one connection. It is trusted with nothing: it may be down, never
 * answer, answer rubbish or without end. Redirects are not followed: what was signed for one target must not go to another.
 */
export class Target {
  /** Its URL for logs: without credentials and query. */
  readonly name: string;
  private readonly client: typeof http | typeof https;
  private readonly agent: Agent;
  private request: ClientRequest | undefined;

  /** @param timeoutMs the longest that an answer may take to begin, in milliseconds */
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
   * @returns why that failed; undefined when it was answered with 2xx
   */
  async post(body: string, headers: Record<string, string>): Promise<Failure | undefined> {
    try {
      const answer = await this.exchange(body, { 'content-type': 'application/json', 'user-agent': 'nestjs-feed', ...headers });
      const status = answer.statusCode as number;
      if (status >= 200 && status < 300) return undefined;
      return {
        reason: `it answered with status ${status}`,
        isRefusal: !unavailable.has(status),
        retryAfterMs: retryAfter(answer.headers['retry-after']),
      };
    } catch (error) {
      const { message, code } = error as NodeJS.ErrnoException;
      // Where a name has several addresses and none can be reached, the message is empty.
      return { reason: message || String(code), isRefusal: false, retryAfterMs: 0 };
    }
  }

  /** Breaks off the request under way and closes the connection. */
  destroy(): void {
    this.request?.destroy(new Error('the webhook was closed'));
    this.agent.destroy();
  }

  private exchange(body: string, headers: Record<string, string>): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const request = this.client.request(this.url, { method: 'POST', agent: this.agent, headers });
      const late = new Error(`no answer within ${this.timeoutMs} ms`);
      const timer = setTimeout(() => request.destroy(late), this.timeoutMs).unref();
      let answer: IncomingMessage | undefined;
      this.request = request;
      request.on('socket', (socket) => socket.unref());
      request.on('response', (response) => {
        answer = response.resume();
        // A body that came with its head has been read by then, and the connection is kept. Any other is not waited for.
        setImmediate(() => request.destroy());
      });
      request.on('error', (error: NodeJS.ErrnoException) => {
        if (answer) return;
        // A kept connection that the target has closed meanwhile says nothing about the target: a new one will.
        const isStale = request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
        if (isStale) resolve(this.exchange(body, headers));
        else reject(error);
      });
      // Comes at every end, and alone where the target answers with 101, as if it were asked for an upgrade.
      request.on('close', () => {
        clearTimeout(timer);
        if (answer) resolve(answer);
        else reject(new Error('the connection was closed without an answer'));
      });
      request.end(body);
    });
  }
}
