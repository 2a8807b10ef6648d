import type { IncomingMessage, ServerResponse } from 'node:http';

/** A request as the framework passes it: Express's is Node's own, Fastify's has Node's as `raw`. */
export type AnyRequest = IncomingMessage | { raw: IncomingMessage };
/** A response as the framework passes it. */
export type AnyResponse = ServerResponse | FastifyReply;

interface FastifyReply {
  raw: ServerResponse;
  statusCode: number;
  getHeaders(): Record<string, number | string | string[] | undefined>;
  hijack(): unknown;
  code(status: number): unknown;
}

/** Node's own request or response. */
export function rawOf<T extends IncomingMessage | ServerResponse>(framed: T | { raw: T }): T {
  return 'raw' in framed ? framed.raw : framed;
}

/** Sets the status that the framework answers with. */
export function setStatus(response: AnyResponse, status: number): void {
  if ('raw' in response) response.code(status);
  else response.statusCode = status;
}

/** Keeps the framework from answering. Status and headers that it was given so far go over to Node's response. */
export function hijack(response: AnyResponse): void {
  if (!('raw' in response)) return;
  response.hijack();
  response.raw.statusCode = response.statusCode;
  for (const [name, value] of Object.entries(response.getHeaders())) if (value !== undefined) response.raw.setHeader(name, value);
}

/** The path of the route that a request has matched, as it is registered, and how many segments of the request's path come before it. */
export function routeOf(request: AnyRequest): { pattern: string; mounted: number } {
  const {
    route,
    routeOptions,
    baseUrl = '',
  } = request as {
    route?: { path?: unknown };
    baseUrl?: string;
    routeOptions?: { url?: string };
  };
  const pattern = routeOptions?.url ?? route?.path;
  return { pattern: typeof pattern === 'string' ? pattern : '', mounted: baseUrl.split('/').filter(Boolean).length };
}

/** The request's target as the client sent it: Express removes a mounted router's path from `url` and keeps the whole elsewhere. */
export function targetOf(request: AnyRequest): string {
  const { originalUrl, url } = request as { originalUrl?: string; url?: string };
  return originalUrl ?? url ?? '';
}
