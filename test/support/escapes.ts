import { runInThisContext } from 'node:vm';

/** Jest gives tests a copy of `process`, which gets no events. */
const realProcess = runInThisContext('process') as NodeJS.Process;

/**
 * Fails each test in which an error escaped from a part of this process.
 *
 * @param end ends what a test began, before that is checked
 */
export function expectNoEscapes(end?: () => Promise<unknown>): void {
  const escaped: unknown[] = [];
  const onEscaped = (error: unknown) => escaped.push(error);

  beforeAll(() => {
    realProcess.on('uncaughtException', onEscaped).on('unhandledRejection', onEscaped);
  });
  afterEach(async () => {
    await end?.();
    expect(escaped.splice(0)).toEqual([]);
  });
  afterAll(() => {
    realProcess.off('uncaughtException', onEscaped).off('unhandledRejection', onEscaped);
  });
}
