import { Logger } from '@nestjs/common';
import { Webhook, type WebhookCounts, type WebhookWatch } from './webhook.js';

/** Tells the application's log how a webhook fares. */
export class WebhookLog implements WebhookWatch {
  private readonly logger = new Logger(Webhook.name);

  failing(target: string, reason: string): void {
    this.logger.warn(`${target} does not take events: ${reason}. They wait, and are sent again.`);
  }

  working(target: string, { failures, dropped }: WebhookCounts): void {
    this.logger.log(`${target} takes events again. Since the start: requests that failed ${failures}, events dropped ${dropped}.`);
  }

  gaveUp(target: string, { waiting }: WebhookCounts): void {
    this.logger.warn(`${target} did not take the last ${waiting} events before the shutdown.`);
  }
}
