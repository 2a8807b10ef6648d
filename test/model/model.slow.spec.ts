import fc from 'fast-check';
import { describeBrokers, engineOf } from '../support/brokers.js';
import { describePlan } from '../support/model/describe-plan.js';
import { shrink } from '../support/model/shrink.js';
import { type Plan, plan } from '../support/model/steps.js';
import { type Ground, World } from '../support/model/world.js';
import { platforms } from '../support/serve.js';

const { MODEL_MINUTES, MODEL_SEED, MODEL_PATH, MODEL_PLAN } = process.env;
/** How long the plans go on, over all suites, in milliseconds. */
const lastsMs = Number(MODEL_MINUTES ?? 0.5) * 60_000;
/** What plans are made from: the same ones in CI, others in each long run. */
const firstSeed = Number(MODEL_SEED ?? (MODEL_MINUTES === undefined ? 42 : Date.now() % 1_000_000));

/** Plans that are made from one seed; the next have the next seed. */
const batch = 3;
/** Both platforms on memory, Redis by two clients, and NATS. */
const suites = platforms.length * 4;
/** How long a plan that failed is made smaller, in milliseconds. */
const shrinkMs = 60_000;
const command = 'npm test -- --testRegex test/model -t';

/** As the tests are called. */
function suiteOf({ kind, platform }: Ground): string {
  return `${kind.name}${kind.client ? ` by ${kind.client}` : ''} ${platform}`;
}

function faultsOf(ground: Ground, made: Plan): Promise<string[]> {
  return World.run(ground, made).catch((error: Error) => [`${error.stack}`]);
}

/** Runs one plan, as a failure has printed it. */
async function repeat(ground: Ground, made: Plan): Promise<void> {
  const faults = await faultsOf(ground, made);
  if (faults.length > 0) throw new Error(`${faults.join('\n')}\n\n${describePlan(made)}`);
}

/** Runs the plans of a seed. */
async function runSeed(ground: Ground, seed: number): Promise<void> {
  let faults: string[] = [];
  const run = async (made: Plan) => {
    const found = await faultsOf(ground, made);
    if (found.length > 0) faults = found;
    return found;
  };
  const property = fc.asyncProperty(plan, async (made) => (await run(made)).length === 0);
  const { failed, counterexample, counterexamplePath } = await fc.check(property, {
    ...{ seed, numRuns: batch, unbiased: true, endOnFailure: true },
    ...(MODEL_PATH !== undefined && { path: MODEL_PATH }),
  });
  if (!failed || !counterexample) return;
  const least = await shrink(counterexample[0], run, performance.now() + shrinkMs);
  const suite = suiteOf(ground);
  const report = [
    faults.slice(0, 10).join('\n'),
    describePlan(least),
    `Repeat these steps:\nMODEL_PLAN='${JSON.stringify(least)}' ${command} '${suite}'`,
    `Repeat the plan that they are left of:\nMODEL_SEED=${seed} MODEL_PATH=${counterexamplePath} ${command} '${suite}'`,
  ];
  throw new Error(report.join('\n\n'));
}

describeBrokers('clients get what the model says, whatever happens, on', (kind) => {
  it.each(platforms)(
    '%s',
    async (platform) => {
      const engine = await engineOf(kind);
      const ground = { platform, kind, engine };
      if (MODEL_PLAN !== undefined) return repeat(ground, JSON.parse(MODEL_PLAN));
      const givesUp = performance.now() + lastsMs / suites;
      let seed = firstSeed;
      do {
        await runSeed(ground, seed);
        seed += 1;
      } while (MODEL_PATH === undefined && performance.now() < givesUp);
      if (MODEL_MINUTES !== undefined) {
        process.stderr.write(`${suiteOf(ground)}: ${(seed - firstSeed) * batch} plans, of seeds ${firstSeed} to ${seed - 1}\n`);
      }
    },
    lastsMs / suites + shrinkMs + 300_000,
  );
});
