import fc from 'fast-check';
import { describeBrokers, engineOf } from '../support/brokers.js';
import { describePlan } from '../support/model/describe-plan.js';
import { plan } from '../support/model/steps.js';
import { World } from '../support/model/world.js';
import { platforms } from '../support/serve.js';

/** How long the plans go on, over all suites, in seconds: `MODEL_SECONDS=600` is the long run. */
const seconds = Number(process.env.MODEL_SECONDS ?? 30);
/** What plans are made from. The same seed makes the same ones; a failure tells the seed and the path of its plan. */
const seed = Number(process.env.MODEL_SEED ?? 42);
const path = process.env.MODEL_PATH;

/** Plans that are made from one seed; the next have the next seed. */
const batch = 3;
const suites = platforms.length * 3;
/** How long a plan that failed is made smaller, in milliseconds. */
const shrinkMs = Math.max(10_000, (seconds * 1000) / 20);

describeBrokers('clients get what the model says, whatever happens, on', (kind) => {
  it.each(platforms)(
    '%s',
    async (platform) => {
      const engine = await engineOf(kind);
      const givesUp = performance.now() + (seconds * 1000) / suites;
      let shrinksUntil = Number.POSITIVE_INFINITY;
      const property = fc.asyncProperty(plan, async (made) => {
        if (performance.now() > shrinksUntil) return;
        const faults = await World.run({ platform, kind, engine }, made).catch((error: Error) => [`${error.stack}`]);
        if (faults.length === 0) return;
        shrinksUntil = Math.min(shrinksUntil, performance.now() + shrinkMs);
        throw new Error(`${faults.slice(0, 10).join('\n')}\n${describePlan(made)}`);
      });
      let runs = 0;
      for (let n = 0; n === 0 || (path === undefined && performance.now() < givesUp); n += 1) {
        await fc.assert(property, { seed: seed + n, numRuns: batch, unbiased: true, ...(path !== undefined && { path }) });
        runs += batch;
      }
      if (process.env.MODEL_SECONDS !== undefined) process.stderr.write(`${kind.name} on ${platform}: ${runs} plans\n`);
    },
    seconds * 1000 + 300_000,
  );
});
