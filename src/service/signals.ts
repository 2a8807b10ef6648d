import { constants } from 'node:os';

/**
 * The first SIGINT or SIGTERM asks for an orderly end; whoever sends a second one does not want to wait.
 *
 * @param atOnce done before the process ends at the second
 */
export function onSignals(atFirst: () => void, atOnce: () => void = () => {}): void {
  let signals = 0;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      signals += 1;
      if (signals === 1) atFirst();
      if (signals < 2) return;
      atOnce();
      process.exit(128 + constants.signals[signal]);
    });
  }
}
