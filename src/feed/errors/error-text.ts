/** An error in words, for the log: its stack, where it has one. This never throws, whatever an application has thrown. */
export function errorText(error: unknown): string {
  try {
    return `${error instanceof Error ? (error.stack ?? error) : String(error)}`;
  } catch {
    return 'what was thrown cannot be told in words';
  }
}
