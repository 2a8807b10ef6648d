/** The flood cannot start: an option is wrong, or the system does not allow what it asks for. */
export class FloodOptionsError extends Error {
  override readonly name = 'FloodOptionsError';
  readonly code = 'FLOOD_OPTIONS';

  constructor(
    message: string,
    /** The option at fault, as the library names it. */
    readonly option: string,
  ) {
    super(message);
  }
}
