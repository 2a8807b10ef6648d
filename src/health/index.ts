export { FeedHealthIndicator } from './feed.health-indicator.js';
export { HealthModule } from './health.module.js';
export type { ProcessCounts } from './process-health.js';
