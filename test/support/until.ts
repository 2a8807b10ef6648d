/** Longer than anything takes on a machine that is busy with other things, and less than a test may take (`jest.config.js`). */
const patienceMs = 100_000;

/** Waits until the condition holds: for what a server does after the last event that its client can see. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const givesUp = performance.now() + patienceMs;
  while (!(await holds())) {
    if (performance.now() > givesUp) throw new Error(`waited for ${holds} in vain`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
