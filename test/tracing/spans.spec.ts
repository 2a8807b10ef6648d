import { SpanKind } from '@opentelemetry/api';
import type { FeedMessage } from '../../src/index.js';
import { otelTracer, traceOf } from '../../src/otel/index.js';
import { type BrokerKind, describeBrokers, engineOf } from '../support/brokers.js';
import { atEnd } from '../support/ends.js';
import { closeAll, platforms, serveFeeds, until } from '../support/serve.js';
import { installContext, Spans, uninstall } from '../support/spans.js';

beforeAll(installContext);
afterAll(uninstall);
afterEach(closeAll);

describeBrokers('the trace of a publication, on', (kind: BrokerKind) => {
  const rules = { 'orders/*': { replay: 'newest' as const } };

  describe.each(platforms)('%s', (platform) => {
    it('goes with the message to another node, which links its delivery to it', async () => {
      const engine = await engineOf(kind);
      const start = async (spans: Spans) =>
        serveFeeds(platform, {
          rules,
          drainMs: 0,
          broker: (context) => kind.make(engine?.port ?? 0, context),
          tracer: otelTracer({ tracerProvider: spans.provider }),
        });
      const [writing, reading] = [new Spans(), new Spans()];
      const writer = await start(writing);
      const reader = kind.name === 'memory' ? writer : await start(reading);
      const seen: FeedMessage[] = [];
      const subscription = reader.feeds.messages('orders/7').subscribe((message) => seen.push(message));
      atEnd(() => subscription.unsubscribe());
      await until(async () => (await writer.feeds.publish('orders/7', 'is it there?')) && seen.length > 0);
      const { id } = await writer.feeds.publish('orders/7', 'hello');
      await until(() => seen.at(-1)?.id === id);

      const producer = writing.of(SpanKind.PRODUCER).at(-1);
      expect(producer).toMatchObject({
        name: 'publish orders/*',
        attributes: {
          'messaging.system': 'nestjs_feed',
          'messaging.destination.name': 'orders/*',
          'messaging.operation.name': 'publish',
          'messaging.operation.type': 'send',
          'messaging.message.id': id,
        },
      });
      const consumer = (reader === writer ? writing : reading).of(SpanKind.CONSUMER).at(-1);
      const { traceId, spanId } = producer?.spanContext() ?? {};
      expect(consumer).toMatchObject({ name: 'deliver orders/*', links: [{ context: { traceId, spanId } }] });
      expect(consumer?.parentSpanContext).toMatchObject({ traceId, spanId });
      expect(traceOf(seen.at(-1) as FeedMessage)).toMatchObject({ traceId, spanId, traceFlags: 1 });
      const { messages } = await reader.feeds.history('orders/7');
      expect(traceOf(messages.at(-1) as FeedMessage)).toMatchObject({ traceId, spanId });
    });
  });
});
