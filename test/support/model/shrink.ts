import type { Plan } from './steps.js';

/**
 * Leaves steps out of a plan that fails, as many as it can do without: halves, then quarters, at last single ones. fast-check would try
 * smaller values first, which takes longer: each try runs the plan.
 *
 * @param faultsOf what is wrong with a plan
 * @param untilMs when to give up, by `performance.now()`
 */
export async function shrink(plan: Plan, faultsOf: (plan: Plan) => Promise<string[]>, untilMs: number): Promise<Plan> {
  let least = plan;
  for (let size = Math.ceil(plan.steps.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < least.steps.length && performance.now() < untilMs; ) {
      const fewer = { ...least, steps: least.steps.filter((_, n) => n < at || n >= at + size) };
      if ((await faultsOf(fewer)).length > 0) least = fewer;
      else at += size;
    }
  }
  return least;
}
