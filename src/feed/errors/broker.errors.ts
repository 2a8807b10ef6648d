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

/** The server behind a broker takes no message of that size: publishing it again does not help. */
export class MessageTooLargeError extends Error {
  override readonly name = 'MessageTooLargeError';
  readonly code = 'MESSAGE_TOO_LARGE';

  constructor(
    /** The most bytes that the text of the message could have had. */
    readonly limit: number,
  ) {
    super(`The broker takes messages of ${limit} bytes at most.`);
  }
}

/** The message of an error, or of its cause; several failed attempts to connect, as to `localhost`, have only a code. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof BrokerUnavailableError && error.cause) return reasonOf(error.cause);
  return error.message || (error as NodeJS.ErrnoException).code || error.name;
}
