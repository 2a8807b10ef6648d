/** What a listener throws is the application's: it is reported, and nobody else is kept from the message. */
export function attempt(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
