export type { ClusterCounts, ClusterFeedCount, CountedWorkers, ServiceCounts, WorkerCounts } from './connection-counts.js';
export { FeedHealthIndicator } from './feed.health-indicator.js';
export { HealthModule } from './health.module.js';
export type { ProcessCounts } from './process-health.js';
export type { WorkerResponses } from './workers.js';
export { Workers } from './workers.js';
