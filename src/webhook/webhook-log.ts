import { Logger } from '@nestjs/common';
import { Webhook, type WebhookCounts, type WebhookListener } from './webhook.js';

/** Logs failures and recoveries of a webhook. */
export class WebhookLog implements WebhookListener {
  private readonly logger = new Logger(Webhook.name);

  onFailure(target: string, reason: string): void {
    this.logger.warn(`Sending events to ${target} failed: ${reason}. They are queued and retried.`);
  }

  onRecovery(target: string, { failures, dropped }: WebhookCounts): void {
    this.logger.log(`Sending events to ${target} succeeds again. Since the start: ${failures} requests failed, ${dropped} events dropped.`);
  }

  onLoss(target: string, { waiting }: WebhookCounts): void {
    this.logger.warn(`The last ${waiting} events were not sent to ${target} before the shutdown.`);
  }
}
