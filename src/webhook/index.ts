export type { FeedClosed, FeedEvent, FeedFollowed, FeedOccupied, FeedOpened } from '../feed/stats/events.js';
export type { WebhookBody, WebhookCounts, WebhookListener } from './webhook.js';
export { Webhook } from './webhook.js';
export { WebhookModule } from './webhook.module.js';
export type { WebhookOptions } from './webhook.options.js';
