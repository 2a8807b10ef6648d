import fc from 'fast-check';
import { describeBrokers, engineOf } from '../support/brokers.js';
import { describePlan } from '../support/model/describe-plan.js';
import { type Plan, plan } from '../support/model/steps.js';
import { type Ground, World } from '../support/model/world.js';
import { platforms } from '../support/serve.js';

const { MODEL_MINUTES, MODEL_SEED, MODEL_PATH } = process.env;
/** How long the plans go on, over all suites, in milliseconds. */
const lastsMs = Number(MODEL_MINUTES ?? 0.5) * 60_000;
/** What plans are made from: the same ones in CI, others in each long run. */
const firstSeed = Number(MODEL_SEED ?? (MODEL_MINUTES === undefined ? 42 : Date.now() % 1_000_000));

/** Plans that are made from one seed; the next have the next seed. */
const batch = 3;
/** Both platforms on memory, Redis by two clients, and NATS. */
const suites = platforms.length * 4;
/** How long a plan that failed is made smaller, in milliseconds. */
const shrinkMs = Math.max(10_000, lastsMs / 20);

/** Runs the plans of a seed; returns what is wrong with one, made as small as it gets in that time. */
async function failureOf(ground: Ground, seed: number): Promise<string | undefined> {
  let shrinksUntil = Number.POSITIVE_INFINITY;
  const property = fc.asyncProperty(plan, async (made) => {
    if (performance.now() > shrinksUntil) return;
    const faults = await World.run(ground, made).catch((error: Error) => [`${error.stack}`]);
    if (faults.length === 0) return;
    shrinksUntil = Math.min(shrinksUntil, performance.now() + shrinkMs);
    throw new Error(faults.slice(0, 10).join('\n'));
  });
  const isRepeated = MODEL_PATH !== undefined;
  const { failed, counterexample, counterexamplePath, errorInstance } = await fc.check(property, {
    ...{ seed, numRuns: batch, unbiased: true, endOnFailure: isRepeated },
    ...(isRepeated && { path: MODEL_PATH }),
  });
  if (!failed || !counterexample) return undefined;
  const { kind, platform } = ground;
  const suite = `${kind.name}${kind.client ? ` by ${kind.client}` : ''} ${platform}`;
  return [
    (errorInstance as Error).message,
    describePlan(counterexample[0] as Plan),
    `Repeat it: MODEL_SEED=${seed} MODEL_PATH=${counterexamplePath} npm test -- --testRegex test/model -t '${suite}'`,
  ].join('\n\n');
}

describeBrokers('clients get what the model says, whatever happens, on', (kind) => {
  it.each(platforms)(
    '%s',
    async (platform) => {
      const engine = await engineOf(kind);
      const givesUp = performance.now() + lastsMs / suites;
      let seed = firstSeed;
      do {
        const failure = await failureOf({ platform, kind, engine }, seed);
        if (failure !== undefined) throw new Error(failure);
        seed += 1;
      } while (MODEL_PATH === undefined && performance.now() < givesUp);
      if (MODEL_MINUTES !== undefined) {
        process.stderr.write(`${kind.name} on ${platform}: ${(seed - firstSeed) * batch} plans, of seeds ${firstSeed} to ${seed - 1}\n`);
      }
    },
    lastsMs / suites + shrinkMs + 300_000,
  );
});
