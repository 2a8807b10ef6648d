/** The folders of `src/feed`, from the ground up: each imports from those before it in this list, and from no other. */
const floors = [
  'errors|stats|time',
  'message',
  'coding|format|source',
  'broker',
  'pubsub',
  'tracing',
  'cluster',
  'run',
  'transport',
  'http',
  'auth',
  'limits',
  'connection',
];

/** The files above a floor of `src/feed`: the other floors, the module itself, and everything outside. */
const above = (floor) => `^src/(feed/(${[...floors.slice(floors.indexOf(floor) + 1), '[^/]+\\.ts$'].join('|')})|(?!feed/))`;

module.exports = {
  forbidden: [
    { name: 'no-circles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'no-unresolved',
      comment: 'the dashboard serves the client below its own files',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true, pathNot: '^\\./client/index\\.js$' },
    },
    {
      name: 'only-npm-start-knows-the-service',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(service/|main\\.ts$|app\\.module\\.ts$)' },
      to: { path: '^src/(service/|main\\.ts$|app\\.module\\.ts$)' },
    },
    {
      name: 'load-and-flood-are-black-boxes',
      comment: 'they share no code with what they measure',
      severity: 'error',
      from: { path: '^(src/flood|load)/' },
      to: { path: '^(src|dist)/', pathNot: '^src/flood/' },
    },
    {
      name: 'clients-run-anywhere',
      comment: 'that of JavaScript knows of the module only what is defined for both',
      severity: 'error',
      from: { path: '^src/client/' },
      to: {
        path: '^src/|node_modules|^node:',
        pathNot: '^src/client/|^src/feed/message/feed-definition\\.ts$|node_modules/@standard-schema',
      },
    },
    {
      name: 'clients-run-anywhere',
      comment: 'that of React knows the other one alone',
      severity: 'error',
      from: { path: '^src/react/' },
      to: { path: '^src/|node_modules|^node:', pathNot: '^src/(react|client)/|node_modules/(@types/)?react/' },
    },
    {
      name: 'plain-node',
      comment: 'they know nothing of Nest',
      severity: 'error',
      from: { path: '^src/(feed/(coding|connection|format|message|pubsub|run|tracing|transport|broker|stats|time)|flood)/' },
      to: { path: 'node_modules/@nestjs|^@nestjs' },
    },
    {
      name: 'a-client-library-stays-in-its-entry',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(feed/broker/(redis|nats)|metrics|health|otel|react|service)/|^src/app\\.module\\.ts$' },
      to: {
        path: 'node_modules/((@types/)?react|ioredis|@nats-io|@opentelemetry|prom-client|@nestjs/(terminus|platform-|schedule|swagger))/',
      },
    },
    {
      name: 'imports-run-downwards',
      comment: 'the module itself is above the floors, and below everything else',
      severity: 'error',
      from: { path: '^src/feed/' },
      to: { path: '^src/', pathNot: '^src/feed/' },
    },
    ...floors.map((floor) => ({
      name: 'imports-run-downwards',
      severity: 'error',
      from: { path: `^src/feed/(${floor})/` },
      to: { path: above(floor) },
    })),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    exclude: { path: '\\.spec\\.ts$' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'default'],
      extensions: ['.ts', '.js', '.d.ts'],
    },
  },
};
