export type { FeedClosed, FeedEvent, FeedOpened, FeedPresence } from '../feed/stats/events.js';
export { WebhookOptionsError } from './webhook.errors.js';
export type { WebhookBody, WebhookCounts, WebhookWatch } from './webhook.js';
export { Webhook } from './webhook.js';
export { WebhookModule } from './webhook.module.js';
export type { WebhookOptions } from './webhook.options.js';
