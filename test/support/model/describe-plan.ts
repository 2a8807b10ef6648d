import type { Plan } from './steps.js';

/** A plan, a step a line. */
export function describePlan({ historyLength, steps }: Plan): string {
  return [`history of ${historyLength}`, ...steps.map((step) => JSON.stringify(step))].join('\n  ');
}
