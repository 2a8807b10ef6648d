export type { Answered, ClusterCounts, ServiceCounts, WorkerCounts } from './connection-counts.js';
export { FeedHealthIndicator } from './feed.health-indicator.js';
export { HealthModule } from './health.module.js';
export type { ProcessCounts } from './process-health.js';
export { HealthScopeException } from './scope.js';
export type { Answers } from './siblings.js';
export { Siblings } from './siblings.js';
