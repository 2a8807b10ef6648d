import type { Served } from './serve.js';

export const adminKey = 'an-admin-key';

/** An answer of the routes of operators. */
export interface Answer<Body> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Body;
}

/** Asks the routes of operators, with their key unless the headers say otherwise. */
export async function admin<Body = Record<string, unknown>>(
  { url }: Pick<Served, 'url'>,
  target: string,
  { headers = { 'x-feed-key': adminKey }, ...init }: RequestInit = {},
): Promise<Answer<Body>> {
  const [method = 'GET', path = ''] = target.includes(' ') ? target.split(' ') : ['GET', target];
  const response = await fetch(`${url}/admin${path}`, { method, headers, ...init });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) };
}
