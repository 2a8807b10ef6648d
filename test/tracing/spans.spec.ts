import { context, ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, trace } from '@opentelemetry/api';
import { AlwaysOffSampler, ParentBasedSampler } from '@opentelemetry/sdk-trace-base';
import { z } from 'zod';
import { MemoryBroker } from '../../src/feed/broker/memory/memory-broker.js';
import { BrokerUnavailableError, defineFeed, type FeedMessage, type FeedTracer } from '../../src/index.js';
import { otelTracer, traceOf } from '../../src/otel/index.js';
import { type BrokerKind, describeBrokers, engineOf } from '../support/brokers.js';
import { atEnd } from '../support/ends.js';
import { closeAll, follow, type ModuleOptions, platforms, serveFeeds, until } from '../support/serve.js';
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

describe.each(platforms)('tracing on %s', (platform) => {
  const started = async (options: ModuleOptions = {}, spans = new Spans()) => {
    const served = await serveFeeds(platform, { drainMs: 0, tracer: otelTracer({ tracerProvider: spans.provider }), ...options });
    return { ...served, spans };
  };

  it('leaves a broker what it can do beside publishing', async () => {
    const { feeds } = await serveFeeds(platform, { tracer: otelTracer() });
    await feeds.publish('a', 'one');
    expect(await feeds.list()).toEqual({
      feeds: [{ id: 'a', subscribers: 0, historyLength: 1, historyBytes: expect.any(Number), ageMs: expect.any(Number) }],
      missing: [],
    });
    expect(feeds.status.broker.historyBytes).toBeGreaterThan(0);
  });

  it('has one span for each message, however many get it, and active while it is delivered', async () => {
    const { feeds, port, spans } = await started();
    const peers = [await follow({ port, feeds }, '/feeds/a'), await follow({ port, feeds }, '/feeds/a')];
    const active: unknown[] = [];
    const subscription = feeds.messages('a').subscribe(() => active.push(trace.getActiveSpan()?.spanContext().spanId));
    atEnd(() => subscription.unsubscribe());
    await until(async () => (await feeds.publish('a', 'ready')) && active.length > 0);
    const { id } = await feeds.publish('a', 'hello');
    await Promise.all(peers.map((peer) => peer.sees('hello')));
    const own = spans.of(SpanKind.CONSUMER).filter(({ attributes }) => attributes['messaging.message.id'] === id);
    expect(own).toHaveLength(1);
    expect(active.at(-1)).toBe(own[0]?.spanContext().spanId);
  });

  it('shows no client a trace', async () => {
    const { feeds, url } = await started();
    await feeds.publish('a', { hello: 1 });
    await feeds.finish('a');
    const queries = ['since=earliest&format=sse', 'since=earliest&format=ndjson', 'since=earliest', 'mode=once'];
    const texts = await Promise.all(queries.map(async (query) => (await fetch(`${url}/feeds/a?${query}`)).text()));
    texts.push(JSON.stringify(await feeds.history('a')));
    for (const each of texts) {
      expect(each).toContain('hello');
      expect(each).not.toMatch(/00-[0-9a-f]{32}|trace/);
    }
  });

  it('continues what is active where a message is published, and names feeds by their definition, their rule, or neither', async () => {
    const { feeds, spans } = await started({
      rules: { 'prices/*': { conflate: true }, 'orders/*': { conflate: true } },
      feeds: [defineFeed('orders/:id', { message: z.number() })],
    });
    const outer = spans.provider.getTracer('test').startSpan('outer');
    await context.with(trace.setSpan(ROOT_CONTEXT, outer), () => feeds.publishMany(['prices/1', 'orders/1', 'other/1'], 1));
    await feeds.finish('other/1');
    const names = spans.of(SpanKind.PRODUCER).map(({ name, parentSpanContext }) => [name, parentSpanContext?.spanId]);
    expect(names).toEqual([
      ['publish prices/*', outer.spanContext().spanId],
      ['publish orders/:id', outer.spanContext().spanId],
      ['publish *', outer.spanContext().spanId],
      ['publish *', undefined],
    ]);
  });

  it('leaves out deliveries of what was published without being sampled', async () => {
    const { feeds, spans } = await started({}, new Spans(new ParentBasedSampler({ root: new AlwaysOffSampler() })));
    const seen: FeedMessage[] = [];
    const subscription = feeds.messages('a').subscribe((message) => seen.push(message));
    atEnd(() => subscription.unsubscribe());
    await until(async () => (await feeds.publish('a', 'x')) && seen.length > 0);
    expect(traceOf(seen[0] as FeedMessage)).toMatchObject({ traceFlags: TraceFlags.NONE });
    expect(spans.all).toEqual([]);
  });

  it('has a repeated publication keep the trace of the first', async () => {
    const { feeds } = await started();
    const first = await feeds.publish('a', 'x', { key: 'k' });
    const { messages } = await feeds.history('a');
    const again = await feeds.publish('a', 'x', { key: 'k' });
    expect(again.id).toBe(first.id);
    expect(traceOf(again)).toBeUndefined();
    expect((await feeds.history('a')).messages.map(traceOf)).toEqual(messages.map(traceOf));
  });

  it('records why a message was not published', async () => {
    const { feeds, spans } = await started();
    await feeds.finish('a');
    await expect(feeds.publish('a', 'late')).rejects.toMatchObject({ code: 'FEED_ENDED' });
    expect(spans.of(SpanKind.PRODUCER).at(-1)).toMatchObject({
      status: { code: SpanStatusCode.ERROR },
      attributes: { 'error.type': 'FEED_ENDED' },
    });
  });

  it('records what an opening was answered with', async () => {
    const { feeds, port, url, spans } = await started({ maxConnections: 1 });
    await feeds.finish('over');
    const { position } = await feeds.history('over');
    await fetch(`${url}/feeds/a`, { method: 'HEAD' });
    await fetch(`${url}/feeds/over?since=${position}`);
    await fetch(`${url}/feeds/a?since=never`);
    await follow({ port, feeds }, '/feeds/a', `Last-Event-ID: ${position}`);
    await fetch(`${url}/feeds/a`);
    const openings = await spans.ended(SpanKind.SERVER, 5);
    expect(openings.map(({ attributes }) => [attributes['http.response.status_code'], attributes['error.type']])).toEqual([
      [200, undefined],
      [204, undefined],
      [400, 'FEED_SINCE'],
      [200, undefined],
      [503, 'FEED_UNAVAILABLE'],
    ]);
    expect(openings.map(({ status }) => status.code === SpanStatusCode.ERROR)).toEqual([false, false, false, false, true]);
    expect(openings.map(({ attributes }) => attributes['feed.resumed'])).toEqual([false, true, true, true, false]);
    expect(openings[3]?.attributes).toMatchObject({ 'feed.format': 'text', 'feed.destinations': ['*'] });
  });

  it('leaves messages as they are without an SDK', async () => {
    const { feeds } = await serveFeeds(platform, { tracer: otelTracer() });
    await feeds.publish('a', 'x');
    const { messages } = await feeds.history('a');
    expect(messages.map(traceOf)).toEqual([undefined]);
    expect(Object.getOwnPropertySymbols(messages[0])).toEqual([]);
  });

  it('takes a tracer of the application, and nothing else', async () => {
    const said: string[] = [];
    const tracer: FeedTracer = {
      publish: (destination, append) => {
        said.push(`publish ${destination}`);
        return append('of its own');
      },
      deliver: (_destination, message, deliver) => {
        said.push(`deliver ${message.trace}`);
        deliver();
      },
      open: (_request, route) => {
        said.push(`open ${route}`);
        return { end: ({ status }) => said.push(`end ${status}`), fail: () => said.push('fail') };
      },
    };
    const { feeds, port } = await serveFeeds(platform, { tracer });
    const peer = await follow({ port, feeds }, '/feeds/a');
    await feeds.publish('a', 'hello');
    await peer.sees('hello');
    expect(said).toEqual(['open /feeds/:a', 'end 200', 'publish *', 'deliver of its own']);
    await expect(serveFeeds(platform, { tracer: {} as FeedTracer })).rejects.toMatchObject({ code: 'FEED_OPTIONS', option: 'tracer' });
  });

  it('counts a broker that is unavailable as an error', async () => {
    const { feeds, spans } = await started({
      broker: (context) =>
        Object.assign(new MemoryBroker(context), {
          publish: async () => {
            throw new BrokerUnavailableError('It is gone.');
          },
        }),
    });
    await expect(feeds.publish('a', 'x')).rejects.toMatchObject({ code: 'FEED_BROKER' });
    expect(spans.of(SpanKind.PRODUCER).at(-1)?.attributes).toMatchObject({ 'error.type': 'BROKER_UNAVAILABLE' });
  });
});
