import { STATUS_CODES } from 'node:http';
import { HttpException } from '@nestjs/common';
import { toFeedException } from './to-feed-exception.js';

/** What a log says of an error of the application. */
export function stackOf(error: unknown): string | undefined {
  return error instanceof Error ? error.stack : String(error);
}

/** What clients are told of a source that has failed after the first byte, or of a run. */
export interface Failure {
  /** What programs tell errors by; missing where the application's exception has none. */
  readonly code?: string | undefined;
  readonly message: string;
}

/**
 * What a client may know of an error: an HttpException's message and, where its response has one, its `code`. Any other error may carry
 * internals: the client learns only that there was one.
 */
export function failureOf(error: unknown): Failure {
  const known = toFeedException(error);
  if (!(known instanceof HttpException)) return { code: 'INTERNAL', message: 'The source has failed.' };
  const response = known.getResponse();
  // An exception that wraps another error has taken over its message.
  if (response instanceof Error) return { message: STATUS_CODES[known.getStatus()] ?? 'Error' };
  const { code } = typeof response === 'string' ? {} : (response as { code?: unknown });
  return { ...(typeof code === 'string' && { code }), message: known.message };
}
