import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { atEnd } from './ends.js';

/** What a service that decides was asked. */
export interface Asked {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: { action: string; feeds: string[]; method: string; path: string };
}

type Answer = (asked: Asked, response: ServerResponse) => unknown;

/** A service that decides who may read and publish, as a test wants it to. */
export class AuthorizerServer {
  readonly asked: Asked[] = [];
  answer: Answer = (_, response) => response.writeHead(204).end();

  private constructor(readonly url: string) {}

  static async start(answer?: Answer): Promise<AuthorizerServer> {
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk);
      const { method, url, headers } = request;
      const asked = { method, url, headers, body: JSON.parse(Buffer.concat(chunks).toString() || '{}') };
      authorizer.asked.push(asked);
      authorizer.answer(asked, response);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    atEnd(() => {
      server.close();
      server.closeAllConnections();
    });
    const authorizer = new AuthorizerServer(`http://127.0.0.1:${(server.address() as AddressInfo).port}/authorize?key=hush`);
    if (answer) authorizer.answer = answer;
    return authorizer;
  }
}

/** Answers with claims. */
export const claims =
  (value: object, headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));

/** Answers with a status, and with nothing else. */
export const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    response.writeHead(code, headers).end();
