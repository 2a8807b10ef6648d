export { FeedMetrics } from './feed.metrics.js';
export { MetricsScopeException } from './metrics.errors.js';
export { MetricsModule } from './metrics.module.js';
