export type { FeedClosed, FeedEvent, FeedOpened, FeedPresence } from '../feed/stats/events.js';
export type { WebhookBody, WebhookCounts, WebhookListener } from './webhook.js';
export { Webhook } from './webhook.js';
export { WebhookModule } from './webhook.module.js';
export type { WebhookOptions } from './webhook.options.js';
