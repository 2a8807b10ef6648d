import type { IncomingMessage, ServerResponse } from 'node:http';

/** A response as the framework has it: Express's is Node's own, Fastify's reply has Node's as `raw`. */
export type AnyResponse = ServerResponse | FastifyReply;
/** A request as the framework has it. */
export type AnyRequest = IncomingMessage | { raw: IncomingMessage };

interface FastifyReply {
  raw: ServerResponse;
  statusCode: number;
  getHeaders(): Record<string, number | string | string[] | undefined>;
  hijack(): unknown;
}

/** Node's own request or response. */
export function rawOf<T extends IncomingMessage | ServerResponse>(framed: T | { raw: T }): T {
  return 'raw' in framed ? framed.raw : framed;
}

/** Keeps the framework from answering; what it was told for the head goes over to Node's response. */
export function takeOver(response: AnyResponse): void {
  if (!('raw' in response)) return;
  response.hijack();
  response.raw.statusCode = response.statusCode;
  for (const [name, value] of Object.entries(response.getHeaders())) if (value !== undefined) response.raw.setHeader(name, value);
}

/** The request's target as the client sent it: Express cuts a mounted router's path off `url` and keeps the whole elsewhere. */
export function targetOf(request: AnyRequest): string {
  const { originalUrl, url } = request as { originalUrl?: string; url?: string };
  return originalUrl ?? url ?? '';
}

/** The path of a target, decoded, without the slashes around it and its query; a target may be a whole URL (RFC 9112 section 3.2.2). */
export function pathOf(target: string): string {
  const url = target.replace(/^https?:\/\/[^/?]*/i, '');
  const query = url.indexOf('?');
  const path = (query < 0 ? url : url.slice(0, query)).replace(/^\/+/, '').replace(/\/$/, '');
  try {
    return decodeURIComponent(path);
  } catch {
    return path; // it is no encoding that anybody would have meant
  }
}
