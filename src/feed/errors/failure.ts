import { HttpException } from '@nestjs/common';

/** What clients are told of a failure: the message of an HttpException, which is meant for them, and nothing of any other error. */
export function messageForClients(error: unknown): string {
  return error instanceof HttpException ? error.message : 'The source has failed.';
}
