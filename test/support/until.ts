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

/** As what it is given, which rejects where that takes too long: with what it was that did not come. */
export async function within<T>(wait: Promise<T>, what: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const givesUp = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited for ${what()} in vain`)), patienceMs);
  });
  try {
    return await Promise.race([wait, givesUp]);
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves once a value has stopped to change. */
export async function untilSteady(value: () => number): Promise<void> {
  let before = value();
  await until(async () => {
    const isSame = value() === before;
    before = value();
    await new Promise((resolve) => setTimeout(resolve, 50));
    return isSame && value() === before;
  });
}
