import type { HttpException } from '@nestjs/common';
import { json, type Responses, type Schema, schemaNamed } from './openapi.js';

/** What a status means to the client, and the headers that come with it. */
const statuses: Record<number, { description: string; headers?: Record<string, { description: string; schema: Schema }> }> = {
  400: { description: 'The request breaks a rule; the message tells which.' },
  401: {
    description: 'There is no key or token, or it does not hold.',
    headers: {
      'WWW-Authenticate': { description: '`Bearer`, with `error="invalid_token"` for one that does not hold.', schema: { type: 'string' } },
    },
  },
  403: { description: "The token is good, but not for this; or another site's page had the browser send it." },
  406: { description: 'Nobody offers the format that is asked for.' },
  413: { description: 'The message has too many bytes.' },
  415: { description: 'The body is of another media type.' },
  429: {
    description: 'The client has as many connections as one may, or opened too many lately.',
    headers: { 'Retry-After': { description: 'Seconds after which to try again.', schema: { type: 'integer', minimum: 1 } } },
  },
  503: {
    description:
      'Not now: every connection is taken, the service is shutting down, the keys for tokens cannot be had, or what keeps the messages is away.',
    headers: { 'Retry-After': { description: 'Seconds after which to try again.', schema: { type: 'integer', minimum: 1 } } },
  },
};

/** The answers that these errors become, each shown as it really is. */
export function refusals(...errors: HttpException[]): Responses {
  const answers = new Map<number, Record<string, unknown>>();
  for (const error of errors) {
    const body = error.getResponse() as { code: string };
    answers.set(error.getStatus(), { ...answers.get(error.getStatus()), [body.code]: body });
  }
  return Object.fromEntries(
    [...answers].map(([status, examples]) => [
      status,
      { ...(statuses[status] as { description: string }), content: json(schemaNamed('Error'), examples) },
    ]),
  );
}

/** What all refusals have in common. */
export const refusalSchema: Schema = {
  type: 'object',
  required: ['statusCode', 'error', 'code', 'message'],
  properties: {
    statusCode: { type: 'integer' },
    error: { type: 'string', description: "The status's name." },
    code: { type: 'string', description: 'What a program can go by.' },
    message: { type: 'string', description: 'What a person can go by: what is wrong, and what is right.' },
    formats: { type: 'array', items: { type: 'string' }, description: '406: what there is.' },
    limit: { type: 'integer', description: '413: the most bytes.' },
    retryAfter: { type: 'integer', description: '429, 503: seconds after which to try again.' },
  },
};
