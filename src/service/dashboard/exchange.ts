import { type AnyRequest, type AnyResponse, rawOf } from '../../feed/http/adapter.js';
import { readUtf8 } from '../../feed/http/body.js';
import { withErrorHead } from '../../feed/http/head.js';

/** The methods that the responses of both have. */
export type Reply = AnyResponse & {
  header(name: string, value: string): unknown;
  status(code: number): unknown;
};

/**
 * The fields of a form.
 *
 * @throws FeedException FEED_BODY_TOO_LARGE (413: more than 4096 bytes), FEED_MESSAGE (400)
 */
export async function readForm(request: AnyRequest, reply: Reply): Promise<URLSearchParams> {
  try {
    return new URLSearchParams(await readUtf8(rawOf(request), 4096));
  } catch (error) {
    throw withErrorHead(error, reply);
  }
}
