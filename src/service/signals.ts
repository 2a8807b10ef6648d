import { constants } from 'node:os';

/**
 * How long after the first signal further ones belong to it, in milliseconds: a terminal sends Ctrl-C to npm and to this process, and
 * npm sends its own on.
 */
const sameSignalMs = 500;

/**
 * Handles SIGINT and SIGTERM: the first one starts an orderly shutdown, the second one exits at once.
 *
 * @param onSecond called before the process exits at the second signal
 */
export function onSignals(onFirst: () => void, onSecond: () => void = () => {}): void {
  let firstAt: number | undefined;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (firstAt === undefined) {
        firstAt = performance.now();
        onFirst();
        return;
      }
      if (performance.now() - firstAt < sameSignalMs) return;
      onSecond();
      process.exit(128 + constants.signals[signal]);
    });
  }
}
