/** Calls a listener of the application. What it throws is reported as an uncaught error; the other listeners are called all the same. */
export function attempt(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
