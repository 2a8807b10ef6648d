/** An option is wrong. Thrown when the application starts, or by the function that takes the option. */
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
}

/** `FeedModule` was imported more than once in one application. Thrown when the application starts. */
export class FeedModuleDuplicateError extends Error {
  override readonly name = 'FeedModuleDuplicateError';
  readonly code = 'FEED_MODULE_DUPLICATE';

  constructor() {
    super(
      'FeedModule.forRoot() was imported more than once. Import it once, in the root module, and give each further path a route of its own with @Feed().',
    );
  }
}
