/**
 * What `npm test` runs. Specs that are called `*.slow.spec.ts` start other programs or take longer by nature: `npm run test:all` runs
 * them as well. Nest 12 is ES modules: Jest runs them under `--experimental-vm-modules`.
 */
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/src', '<rootDir>/test'],
  // The specs of an application that `npm run package` makes.
  testPathIgnorePatterns: ['/node_modules/', '<rootDir>/test/package/'],
  testRegex: '(?<!\\.slow)\\.spec\\.ts$',
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: {
    '\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2022',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
        },
        module: { type: 'es6' },
      },
    ],
  },
  // Most tests wait for what other processes do, so that six workers keep two cores busy.
  maxWorkers: 6,
  // No test asserts how long something takes: this only ends one that waits in vain.
  testTimeout: 120_000,
};
