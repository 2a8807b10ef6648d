import { constants } from 'node:os';

/**
 * Handles SIGINT and SIGTERM: the first one starts an orderly shutdown, the second one exits at once.
 *
 * @param onSecond called before the process exits at the second signal
 */
export function onSignals(onFirst: () => void, onSecond: () => void = () => {}): void {
  let signals = 0;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      signals += 1;
      if (signals === 1) onFirst();
      if (signals < 2) return;
      onSecond();
      process.exit(128 + constants.signals[signal]);
    });
  }
}
