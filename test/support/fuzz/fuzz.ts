import fc from 'fast-check';

/** Where every case comes from: a fresh seed for each run, unless the environment repeats one. */
export const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));

/** How many cases of each subject a long run has; undefined in a short one, in which each subject says how many it has time for. */
const cases = process.env.FUZZ_CASES === undefined ? undefined : Number(process.env.FUZZ_CASES);

/** The longest turn of the event loop that a long run allows, in milliseconds. A short one, beside other tests, only reports it. */
const longestTurnMs = 50;

/** The time within which a long run's subject must end, in milliseconds. */
export const patienceMs = 3_600_000;

/** How many of its cases are under way at a time. */
const atOnce = 32;

/** What the subjects report, a line each, at the end. */
const lines: string[] = [];

export function report(line: string): void {
  lines.push(line);
}

/** @returns the report, which begins with how the run is repeated */
export function reportOf(): string {
  return [`FUZZ_SEED=${seed}`, ...lines].join('\n');
}

/** @throws an Error for a turn that is too long, in a long run */
export function checkTurn(subject: string, turnMs: number): void {
  if (cases !== undefined && turnMs > longestTurnMs) throw new Error(`${subject}: a turn of ${turnMs.toFixed(1)} ms`);
}

/**
 * Checks a property with so many cases, some at a time. Fails with the least batch of cases that still fails, and how to repeat it.
 *
 * @param few how many cases a short run has
 * @param after checked behind each batch
 */
export async function fuzz<T>(
  few: number,
  arbitrary: fc.Arbitrary<T>,
  check: (each: T) => Promise<void>,
  after: () => Promise<void> | void = () => {},
): Promise<number> {
  const count = cases ?? few;
  const batches = fc.array(arbitrary, { minLength: 1, maxLength: atOnce, size: 'max' });
  let done = 0;
  const property = fc.asyncProperty(batches, async (batch) => {
    done += batch.length;
    await Promise.all(batch.map(check));
    await after();
  });
  // Batches have half of their most cases on average.
  const options = { seed, endOnFailure: false, numRuns: Math.ceil((count / atOnce) * 1.9) };
  await fc.assert(property, options);
  return done;
}

/** As `fuzz()`, for what is checked at once. */
export function fuzzSync<T>(few: number, arbitrary: fc.Arbitrary<T>, check: (each: T) => void): number {
  const numRuns = cases ?? few;
  fc.assert(fc.property(arbitrary, check), { seed, numRuns });
  return numRuns;
}
