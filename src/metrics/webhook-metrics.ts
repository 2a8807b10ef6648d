import type { ModuleRef } from '@nestjs/core';
import type { Registry } from 'prom-client';
import { Webhook } from '../webhook/webhook.js';
import { readCounter, readGauge } from './read-metrics.js';

/** Adds the state of each webhook that the application has imported to a registry. */
export function addWebhookMetrics(registry: Registry, modules: ModuleRef): void {
  let known: readonly Webhook[] | undefined;
  const of = (read: (webhook: Webhook) => Record<string, number>) => () => {
    known ??= webhooksOf(modules);
    return known.flatMap((webhook) =>
      Object.entries(read(webhook)).map(([result, value]) => [{ target: webhook.targetName, ...(result && { result }) }, value] as const),
    );
  };
  readCounter(
    registry,
    'feed_webhook_events_total',
    'Events that the target of a webhook accepted (sent), and that were dropped.',
    ['target', 'result'],
    of((webhook) => {
      const { sent, dropped } = webhook.counts();
      return { sent, dropped };
    }),
  );
  readGauge(
    registry,
    'feed_webhook_waiting_events',
    'Events that a webhook has not sent yet.',
    ['target'],
    of((webhook) => ({ '': webhook.counts().waiting })),
  );
  readCounter(
    registry,
    'feed_webhook_failures_total',
    'Requests of a webhook that failed.',
    ['target'],
    of((webhook) => ({ '': webhook.counts().failures })),
  );
  readGauge(
    registry,
    'feed_webhook_failing',
    'Whether the last request of a webhook failed (1) or not (0).',
    ['target'],
    of((webhook) => ({ '': webhook.isFailing ? 1 : 0 })),
  );
}

/** The webhooks of all modules; they are there once the application has been initialised. */
function webhooksOf(modules: ModuleRef): readonly Webhook[] {
  try {
    return modules.get(Webhook, { strict: false, each: true });
  } catch {
    return []; // none is imported
  }
}
