import type { IncomingMessage } from 'node:http';

/** A request of Express or Fastify. */
export type AnyRequest = IncomingMessage | { raw: IncomingMessage };

/** The methods that the responses of both have. */
export interface Reply {
  header(name: string, value: string): unknown;
  status(code: number): unknown;
}

/** Node's own request. */
export function rawOf(request: AnyRequest): IncomingMessage {
  return 'raw' in request ? request.raw : request;
}

/** The fields of a form; what exceeds the limit is ignored. */
export async function readForm(request: AnyRequest, maxLength = 4096): Promise<URLSearchParams> {
  let text = '';
  for await (const chunk of rawOf(request).setEncoding('utf8')) {
    text += chunk;
    if (text.length > maxLength) break;
  }
  return new URLSearchParams(text);
}
