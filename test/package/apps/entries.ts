// Every entry, as a strict application writes it: compiled, not run.
import { type BrokerFactory, endReasons, FeedModule, type FeedOptions, FeedService, type FeedSource, intervalSource } from 'nestjs-feed';
import { AdminModule } from 'nestjs-feed/admin';
import { type FloodReport, flood } from 'nestjs-feed/flood';
import { FeedHealthIndicator, HealthModule } from 'nestjs-feed/health';
import { MetricsModule } from 'nestjs-feed/metrics';
import { natsBroker } from 'nestjs-feed/nats';
import { otelTracer, traceOf } from 'nestjs-feed/otel';
import { FeedProvider, useFeed } from 'nestjs-feed/react';
import { redisBroker } from 'nestjs-feed/redis';
import { expectMessages, type FeedMessages, FeedRecorder, follow } from 'nestjs-feed/testing';
import { type WebhookBody, WebhookModule } from 'nestjs-feed/webhook';
import { from, map, type Observable } from 'rxjs';

export const brokers: BrokerFactory[] = [redisBroker('redis://127.0.0.1'), natsBroker({ url: 'nats://127.0.0.1' })];

const source: FeedSource = (context) => from(intervalSource(1000)(context)).pipe(map((data) => ({ data, type: context.id })));
export const options: FeedOptions = { source, rules: { 'prices/*': { replay: 'newest', conflate: true } } };

export const imports = [
  FeedModule.forRoot(options),
  FeedModule.forRoot({ tracer: otelTracer() }),
  FeedModule.forRootAsync({ path: 'live', inject: ['OPTIONS'], useFactory: (given: FeedOptions) => given }),
  AdminModule.forRoot({ key: 'an-admin-key' }),
  HealthModule,
  MetricsModule,
  WebhookModule.forRoot({ url: 'https://example.com/hook', secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' }),
];

export const closed = (feeds: FeedService, reason: (typeof endReasons)[number]): number => feeds.counts().closed[reason];
export const prices = (feeds: FeedService): Observable<unknown> => feeds.messages('prices').pipe(map(({ data }) => data));
export const traceIds = (feeds: FeedService) => feeds.messages('prices').pipe(map((message) => traceOf(message)?.traceId));
export const isUp = (indicator: FeedHealthIndicator) => indicator.isHealthy('feeds');
export const load = (url: string): Promise<FloodReport> => flood({ url, connections: 10 });
export const bodyOf = (text: string): WebhookBody => JSON.parse(text);
export const useSum = (): number => useFeed('prices', { reduce: (sum, { data }) => sum + Number(data), initial: 0 }).state;
export { FeedProvider };

export const recorder = new FeedRecorder();
export const recording: FeedOptions = { broker: recorder.broker };
export const changes = (url: string, signal: AbortSignal): Promise<FeedMessages> => follow(url, '/orders/7', { signal, timeoutMs: 100 });
export const status = async (): Promise<string> => (await recorder.next<{ status: string }>('orders/7')).data.status;
export async function print(url: string, signal: AbortSignal) {
  for await (const { id, data } of await changes(url, signal)) console.log(id, data);
  await expectMessages(recorder.feed('orders/7'), [{ status: 'sent' }], { timeoutMs: 100 });
}
