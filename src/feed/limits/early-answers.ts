import { STATUS_CODES } from 'node:http';
import { type FeedErrorCode, FeedException } from '../errors/feed-exception.js';

/** The answers of requests that are rejected before an application sees them: whole responses, each made once. */
export class EarlyAnswers {
  /** By the seconds of their `Retry-After`, which are few. */
  private readonly answers = new Map<number, string>();

  constructor(
    private readonly code: FeedErrorCode,
    private readonly message: string,
  ) {}

  get(retryAfter: number): string {
    const known = this.answers.get(retryAfter);
    if (known !== undefined) return known;
    const answer = this.make(retryAfter);
    this.answers.set(retryAfter, answer);
    return answer;
  }

  /** As Nest answers the error. */
  private make(retryAfter: number): string {
    const error = new FeedException(this.code, { message: this.message, retryAfter });
    const body = JSON.stringify(error.getResponse());
    return [
      `HTTP/1.1 ${error.getStatus()} ${STATUS_CODES[error.getStatus()]}`,
      `Retry-After: ${retryAfter}`,
      'Connection: close',
      'Content-Type: application/json; charset=utf-8',
      `Content-Length: ${body.length}`,
      `\r\n${body}`,
    ].join('\r\n');
  }
}
