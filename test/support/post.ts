/** What publishes where a test gives the module, or the service, this key. */
export const publishKey = 'a-key';

export const asJson = { 'content-type': 'application/json' };

/** Publishes over HTTP with the key; text, unless the headers say otherwise. */
export function post(url: string, body: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, { method: 'POST', body, headers: { authorization: `Bearer ${publishKey}`, 'content-type': 'text/plain', ...headers } });
}
