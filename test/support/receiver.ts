import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { Webhook as Verifier } from 'standardwebhooks';
import type { FeedEvent, WebhookBody } from '../../src/webhook/index.js';
import { atEnd } from './ends.js';

export const secret = `whsec_${Buffer.from('a key of twenty-four bytes').toString('base64')}`;

export interface Received extends Pick<IncomingMessage, 'method' | 'url' | 'headers' | 'socket'> {
  readonly text: string;
  readonly body: WebhookBody;
  readonly time: number;
}

export type Answer = (response: ServerResponse, count: number) => unknown;

export const ok: Answer = (response) => response.end('ok');

/** A target. What it is sent must be signed: anything else is answered with 401, and not noted. */
export class Receiver {
  readonly requests: Received[] = [];
  readonly server: Server;
  /** The most requests that were to be answered at a time. */
  concurrent = 0;
  readonly sockets = new Set<Socket>();
  private pending = 0;

  /** @param answer is given the number of the request, counted from 1 */
  constructor(
    private readonly answer: Answer,
    private readonly verifier = new Verifier(secret),
  ) {
    this.server = createServer((...exchange) => this.take(...exchange));
    this.server.on('connection', (socket) => this.sockets.add(socket));
    atEnd(() => this.close());
  }

  static async start(answer: Answer = ok, port = 0): Promise<Receiver> {
    return new Receiver(answer).listen(port);
  }

  close(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }

  async listen(port = 0): Promise<this> {
    this.server.listen(port, '127.0.0.1');
    await once(this.server, 'listening');
    return this;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/hook`;
  }

  /** The times of all events that came. */
  get times(): number[] {
    return this.events.map(({ time }) => time);
  }

  /** All events that came. */
  get events(): FeedEvent[] {
    return this.requests.flatMap(({ body }) => body.events);
  }

  /** Waits for so many requests. */
  async takes(count: number): Promise<Received[]> {
    while (this.requests.length < count) await once(this.server, 'taken');
    return this.requests;
  }

  private async take(...[request, response]: Parameters<RequestListener>): Promise<void> {
    this.pending += 1;
    this.concurrent = Math.max(this.concurrent, this.pending);
    response.on('close', () => {
      this.pending -= 1;
    });
    const { method, url, headers, socket } = request;
    const body = await text(request);
    try {
      const verified = this.verifier.verify(body, headers as Record<string, string>) as WebhookBody;
      this.requests.push({ method, url, headers, text: body, body: verified, time: performance.now(), socket });
      this.answer(response, this.requests.length);
      this.server.emit('taken');
    } catch {
      response.writeHead(401).end();
    }
  }
}
