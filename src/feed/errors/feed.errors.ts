import {
  BadRequestException,
  HttpException,
  HttpStatus,
  NotAcceptableException,
  PayloadTooLargeException,
  UnsupportedMediaTypeException,
} from '@nestjs/common';
import type { BaseIssue } from 'valibot';

/** An option of the module is wrong. Thrown when the application starts. */
export class FeedOptionsError extends Error {
  override readonly name = 'FeedOptionsError';
  readonly code = 'FEED_OPTIONS';

  constructor(
    message: string,
    /** The name of the wrong option. */
    readonly option: string,
  ) {
    super(message);
  }

  /** Tells what is wrong with the first of the options that failed their check. */
  static from([issue]: [BaseIssue<unknown>, ...BaseIssue<unknown>[]], known: string[]): FeedOptionsError {
    const option = issue.path?.map((item) => String(item.key)).join('.') ?? 'options';
    if (issue.expected === 'never') {
      return new FeedOptionsError(`FeedModule has no option "${option}"; it has ${known.join(', ')}`, option);
    }
    return new FeedOptionsError(`FeedModule's option "${option}" ${issue.message}, not ${issue.received}`, option);
  }
}

/** `FeedModule` was imported more than once in one application. Thrown when the application starts. */
export class FeedModuleDuplicateError extends Error {
  override readonly name = 'FeedModuleDuplicateError';
  readonly code = 'FEED_MODULE_DUPLICATE';

  constructor() {
    super(
      'FeedModule.forRoot() was imported more than once. Import it once, where the application is put together, ' +
        'and give each further path a route of its own with @Feed().',
    );
  }
}

/** The rule for the ids of feeds, as the error tells it. */
export const feedIdRule = '1 to 200 characters out of A-Z a-z 0-9 . _ ~ : @ - with single slashes between them';

/** 400: the id of a feed breaks the rule. */
export class FeedIdException extends BadRequestException {
  readonly code = 'FEED_ID';

  constructor() {
    super({ statusCode: HttpStatus.BAD_REQUEST, error: 'Bad Request', code: 'FEED_ID', message: `A feed's id is ${feedIdRule}.` });
  }
}

/** 400: a request names no feed, or too many. */
export class FeedIdsException extends BadRequestException {
  readonly code = 'FEED_IDS';

  constructor(message: string) {
    super({ statusCode: HttpStatus.BAD_REQUEST, error: 'Bad Request', code: 'FEED_IDS', message });
  }
}

/** 400: a message that cannot be published, because some format could not give it back as it went in. */
export class FeedMessageException extends BadRequestException {
  readonly code = 'FEED_MESSAGE';

  constructor(message: string) {
    super({ statusCode: HttpStatus.BAD_REQUEST, error: 'Bad Request', code: 'FEED_MESSAGE', message });
  }
}

/** 400: `?since=` is no position. */
export class FeedSinceException extends BadRequestException {
  readonly code = 'FEED_SINCE';

  constructor() {
    super({
      statusCode: HttpStatus.BAD_REQUEST,
      error: 'Bad Request',
      code: 'FEED_SINCE',
      message: "since is a message's id, earliest or latest.",
    });
  }
}

/** 413: more than `bodyBytes`. */
export class FeedBodyTooLargeException extends PayloadTooLargeException {
  readonly code = 'FEED_BODY_TOO_LARGE';

  constructor(
    /** The most bytes that a message may have. */
    readonly limit: number,
  ) {
    super({
      statusCode: HttpStatus.PAYLOAD_TOO_LARGE,
      error: 'Payload Too Large',
      code: 'FEED_BODY_TOO_LARGE',
      message: `A message has ${limit} bytes at most.`,
      limit,
    });
  }
}

/** 415: what is published is neither text nor JSON. */
export class FeedMediaTypeException extends UnsupportedMediaTypeException {
  readonly code = 'FEED_MEDIA_TYPE';

  constructor(allowed: string) {
    super({
      statusCode: HttpStatus.UNSUPPORTED_MEDIA_TYPE,
      error: 'Unsupported Media Type',
      code: 'FEED_MEDIA_TYPE',
      message: `Publish with Content-Type: ${allowed}.`,
    });
  }
}

/** 406: the client wants a format that nobody offers. */
export class FeedFormatException extends NotAcceptableException {
  readonly code = 'FEED_FORMAT';

  constructor(readonly formats: string[]) {
    super({
      statusCode: HttpStatus.NOT_ACCEPTABLE,
      error: 'Not Acceptable',
      code: 'FEED_FORMAT',
      message: `Ask for one of ${formats.join(', ')}, with ?format= or by its media type in Accept.`,
      formats,
    });
  }
}

/** 503: no further connection is taken, because the limit is reached or the service shuts down. */
export class FeedUnavailableException extends HttpException {
  readonly code = 'FEED_UNAVAILABLE';

  constructor(
    message: string,
    /** Seconds after which the client may try again. */
    readonly retryAfter: number,
  ) {
    super(
      { statusCode: HttpStatus.SERVICE_UNAVAILABLE, error: 'Service Unavailable', code: 'FEED_UNAVAILABLE', message, retryAfter },
      HttpStatus.SERVICE_UNAVAILABLE,
    );
  }
}

/** 503: the engine that keeps the feeds' messages cannot be reached. What was published may have got there all the same. */
export class FeedBrokerException extends HttpException {
  readonly code = 'FEED_BROKER';

  constructor(
    /** Seconds after which the client may try again. */
    readonly retryAfter: number,
    cause: Error,
  ) {
    const message = 'What keeps the messages of the feeds is away.';
    super(
      { statusCode: HttpStatus.SERVICE_UNAVAILABLE, error: 'Service Unavailable', code: 'FEED_BROKER', message, retryAfter },
      HttpStatus.SERVICE_UNAVAILABLE,
      { cause },
    );
  }
}

/** 429: the client has as many connections as one may, or opens them too fast (RFC 6585 section 4). */
export class FeedTooManyException extends HttpException {
  readonly code = 'FEED_TOO_MANY';

  constructor(
    message: string,
    /** Seconds after which the client may try again. */
    readonly retryAfter: number,
  ) {
    super(
      { statusCode: HttpStatus.TOO_MANY_REQUESTS, error: 'Too Many Requests', code: 'FEED_TOO_MANY', message, retryAfter },
      HttpStatus.TOO_MANY_REQUESTS,
    );
  }
}
