import { ForbiddenException, HttpStatus, UnauthorizedException } from '@nestjs/common';

/** 401: a request that needs a key or a token has none, or one that does not hold. */
export class FeedUnauthorizedException extends UnauthorizedException {
  readonly code = 'FEED_UNAUTHORIZED';
  /** The answer's `WWW-Authenticate` (RFC 6750 section 3). */
  readonly challenge: string;

  constructor(
    message: string,
    /** Given where the request had a credential, and only there (RFC 6750 section 3.1). */
    error?: 'invalid_token',
  ) {
    super({ statusCode: HttpStatus.UNAUTHORIZED, error: 'Unauthorized', code: 'FEED_UNAUTHORIZED', message });
    this.challenge = `Bearer realm="feeds"${error ? `, error="${error}"` : ''}`;
  }
}

/** 403: the request's token is good, but not for this. */
export class FeedForbiddenException extends ForbiddenException {
  readonly code = 'FEED_FORBIDDEN';

  constructor(message: string) {
    super({ statusCode: HttpStatus.FORBIDDEN, error: 'Forbidden', code: 'FEED_FORBIDDEN', message });
  }
}

/** A token cannot be made of what `FeedTokenService.create()` was given. */
export class FeedTokenError extends Error {
  override readonly name = 'FeedTokenError';
  readonly code = 'FEED_TOKEN';

  constructor(
    message: string,
    /** What is wrong or missing. */
    readonly option: 'feeds' | 'publish' | 'expiresIn' | 'subject' | 'jwtSecret',
  ) {
    super(message);
  }
}
