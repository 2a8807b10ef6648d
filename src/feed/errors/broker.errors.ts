/** The server behind a broker cannot be reached, or rejects commands. */
export class BrokerUnavailableError extends Error {
  override readonly name = 'BrokerUnavailableError';
  readonly code = 'BROKER_UNAVAILABLE';
  /** Of a message that was published: whether it is certain that it is not stored, so that another attempt makes no duplicate. */
  readonly isNotStored: boolean;

  constructor(message: string, options: ErrorOptions & { isNotStored?: boolean } = {}) {
    super(message, options);
    this.isNotStored = options.isNotStored ?? false;
  }
}

/** The broker is available and does not take the message: publishing it again does not help. */
export abstract class MessageRejectedError extends Error {}

/** The server behind a broker takes no message of that size. */
export class MessageTooLargeError extends MessageRejectedError {
  override readonly name = 'MessageTooLargeError';
  readonly code = 'MESSAGE_TOO_LARGE';

  constructor(
    /** The most bytes that the text of the message could have had. */
    readonly limit: number,
  ) {
    super(`The broker takes messages of ${limit} bytes at most.`);
  }
}

/** The feed has ended: nothing can be published to it until it is cleared. */
export class FeedEndedError extends MessageRejectedError {
  override readonly name = 'FeedEndedError';
  readonly code = 'FEED_ENDED';

  constructor(readonly feed: string) {
    super(`The feed "${feed}" has ended.`);
  }
}

/** The feed has messages after the position at which its publisher expected its end. */
export class FeedPositionError extends MessageRejectedError {
  override readonly name = 'FeedPositionError';
  readonly code = 'FEED_POSITION';

  constructor(readonly feed: string) {
    super(`The feed "${feed}" has other messages after the expected position.`);
  }
}

/** The key was used for another message of the feed. */
export class KeyReusedError extends MessageRejectedError {
  override readonly name = 'KeyReusedError';
  readonly code = 'KEY_REUSED';

  constructor(readonly feed: string) {
    super(`The key was used for another message of the feed "${feed}".`);
  }
}

/** The message of an error, or of its cause; several failed attempts to connect, as to `localhost`, have only a code. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof BrokerUnavailableError && error.cause) return reasonOf(error.cause);
  return error.message || (error as NodeJS.ErrnoException).code || error.name;
}
