import { type AnyRequest, rawOf } from '../../feed/http/adapter.js';

/** The methods that the responses of both have. */
export interface Reply {
  header(name: string, value: string): unknown;
  status(code: number): unknown;
}

/** The fields of a form; what exceeds 4096 characters is ignored. */
export async function readForm(request: AnyRequest): Promise<URLSearchParams> {
  let text = '';
  for await (const chunk of rawOf(request).setEncoding('utf8')) {
    text += chunk;
    if (text.length > 4096) break;
  }
  return new URLSearchParams(text);
}
