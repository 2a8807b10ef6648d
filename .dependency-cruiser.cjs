/** The directions that imports may run in, as the layout says: main → app.module → {feed, health} → FeedService. */
module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'plain-node',
      comment: 'broker, connection, format, nodes, routing, source and flood know nothing of Nest',
      severity: 'error',
      from: { path: '^src/(feed/(broker|connection|format|routing|source|nodes)|flood)/' },
      to: { path: 'node_modules/@nestjs|^@nestjs' },
    },
    {
      name: 'flood-is-a-black-box',
      comment: 'the load client shares no code with what it measures',
      severity: 'error',
      from: { path: '^src/flood/' },
      to: { path: '^src/', pathNot: '^src/flood/' },
    },
    {
      name: 'nothing-reaches-into-flood',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(flood/|cli\\.ts$)' },
      to: { path: '^src/flood/' },
    },
    {
      name: 'feed-is-the-bottom',
      severity: 'error',
      from: { path: '^src/feed/' },
      to: { path: '^src/', pathNot: '^src/feed/' },
    },
    {
      name: 'health-knows-only-the-service',
      severity: 'error',
      from: { path: '^src/health/' },
      to: { path: '^src/', pathNot: '^src/(health/|feed/feed\\.service\\.ts$|feed/feed\\.counts\\.ts$)' },
    },
    {
      name: 'brokers-know-no-connection',
      severity: 'error',
      from: { path: '^src/feed/broker/' },
      to: { path: '^src/feed/(connection|format|routing|source|access)/|^src/feed/feed\\.service\\.ts$' },
    },
    {
      name: 'ioredis-stays-in-its-broker',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/feed/broker/redis/' },
      to: { path: 'node_modules/ioredis/' },
    },
    {
      name: 'nats-stays-in-its-broker',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/feed/broker/nats/' },
      to: { path: 'node_modules/@nats-io/|^@nats-io/' },
    },
    {
      name: 'webhook-knows-only-the-service',
      severity: 'error',
      from: { path: '^src/webhook/' },
      to: { path: '^src/', pathNot: '^src/(webhook/|feed/feed\\.(service|events)\\.ts$)' },
    },
    {
      name: 'workers-know-only-the-port',
      comment: 'what is asked of workers, and answered, is none of their business',
      severity: 'error',
      from: { path: '^src/workers/' },
      to: { path: '^src/', pathNot: '^src/(workers/|health/siblings\\.ts$)' },
    },
    {
      name: 'config-is-for-the-service',
      severity: 'error',
      from: { path: '^src/(feed|health|flood|webhook)/|^src/index\\.ts$' },
      to: { path: '^src/((config|main|app\\.module|engine|service|start|signals)\\.ts$|workers/)' },
    },
    {
      name: 'optional-peers-stay-in-their-entry',
      comment: 'the module alone needs Nest, rxjs and its two small dependencies',
      severity: 'error',
      from: { path: '^src/(feed|flood|webhook)/|^src/(index|cli)\\.ts$' },
      to: { path: 'node_modules/@nestjs/(terminus|platform-|schedule)' },
    },
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
