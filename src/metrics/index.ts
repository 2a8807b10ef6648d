export { FeedMetrics } from './feed.metrics.js';
export { MetricsModule } from './metrics.module.js';
