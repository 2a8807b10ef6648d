/** The flood cannot start: an option is invalid, or exceeds a limit of the system. */
export class FloodOptionsError extends Error {
  override readonly name = 'FloodOptionsError';
  readonly code = 'FLOOD_OPTIONS';

  constructor(
    message: string,
    /** The name of the option. */
    readonly option: string,
  ) {
    super(message);
  }
}
