import { FeedException } from '../errors/feed-exception.js';
import { unavailableResponse } from '../transport/unavailable-response.js';

/** The answers of requests that are rejected before an application sees them: whole responses, each made once. */
export class EarlyAnswers {
  /** By the seconds of their `Retry-After`, which are few. */
  private readonly answers = new Map<number, string>();

  constructor(private readonly message: string) {}

  get(retryAfter: number): string {
    const known = this.answers.get(retryAfter);
    if (known !== undefined) return known;
    const answer = this.make(retryAfter);
    this.answers.set(retryAfter, answer);
    return answer;
  }

  /** As Nest answers the error. */
  private make(retryAfter: number): string {
    const error = new FeedException('FEED_UNAVAILABLE', { message: this.message, retryAfter });
    return unavailableResponse(retryAfter, 'application/json; charset=utf-8', JSON.stringify(error.getResponse()));
  }
}
