import { STATUS_CODES } from 'node:http';
import { HttpException } from '@nestjs/common';
import { toFeedException } from './to-feed-exception.js';

/** What clients are told of a source that has failed after the first byte, or of a run. */
export interface Failure {
  /** What programs tell errors by; missing where the application's exception has none. */
  readonly code?: string | undefined;
  readonly message: string;
}

const neutral: Failure = { code: 'INTERNAL', message: 'The source has failed.' };

/**
 * What a client may know of an error: an HttpException's message and, where its response has one, its `code`. Any other error may carry
 * internals: the client learns only that there was one.
 *
 * This never throws: nothing catches what happens here, and an application may throw anything, also an exception whose parts are missing,
 * such as `new HttpException(answer?.data, 502)` where there was no answer.
 */
export function failureOf(error: unknown): Failure {
  try {
    return toldOf(toFeedException(error));
  } catch {
    return neutral;
  }
}

function toldOf(error: unknown): Failure {
  if (!(error instanceof HttpException)) return neutral;
  const status = STATUS_CODES[error.getStatus()] ?? 'Error';
  const response: unknown = error.getResponse();
  // An exception that wraps another error has taken over its message.
  if (response instanceof Error) return { message: status };
  const { code } = typeof response === 'object' && response !== null ? (response as { code?: unknown }) : {};
  const message: unknown = error.message;
  return { ...(typeof code === 'string' && { code }), message: typeof message === 'string' ? message : status };
}
