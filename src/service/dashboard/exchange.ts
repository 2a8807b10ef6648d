import type { IncomingMessage } from 'node:http';

/** A request as Express has it, or Fastify. */
export type AnyRequest = IncomingMessage | { raw: IncomingMessage };

/** What the responses of both can do. */
export interface Reply {
  header(name: string, value: string): unknown;
  status(code: number): unknown;
}

/** Node's own request. */
export function rawOf(request: AnyRequest): IncomingMessage {
  return 'raw' in request ? request.raw : request;
}

/** The fields of a form, as far as its first bytes go. */
export async function formOf(request: AnyRequest, most = 4096): Promise<URLSearchParams> {
  let text = '';
  for await (const chunk of rawOf(request).setEncoding('utf8')) {
    text += chunk;
    if (text.length > most) break;
  }
  return new URLSearchParams(text);
}
