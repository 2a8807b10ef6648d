// An application with an SDK of OpenTelemetry and its instrumentation of HTTP, which says each span that has ended.
import { context, DiagConsoleLogger, DiagLogLevel, diag, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http';
import { BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';

const exporter = {
  export(spans, done) {
    for (const span of spans) {
      const { name, kind, attributes, status, parentSpanContext, instrumentationScope } = span;
      const scope = instrumentationScope.name;
      const told = { scope, name, kind, attributes, status, parent: parentSpanContext?.spanId, ...span.spanContext() };
      process.stdout.write(`span ${JSON.stringify(told)}\n`);
    }
    done({ code: 0 });
  },
  shutdown: async () => {},
};
diag.setLogger(new DiagConsoleLogger(), DiagLogLevel.WARN);
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
trace.setGlobalTracerProvider(provider);
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
if (process.env.INSTRUMENTED) new HttpInstrumentation().setTracerProvider(provider);

const { Module } = await import('@nestjs/common');
const { NestFactory } = await import('@nestjs/core');
const { FeedModule } = await import('../../../dist/index.js');
const { otelTracer } = await import('../../../dist/otel/index.js');
const { PLATFORM, HANDOVER } = process.env;
const adapter =
  PLATFORM === 'express'
    ? new (await import('@nestjs/platform-express')).ExpressAdapter()
    : new (await import('@nestjs/platform-fastify')).FastifyAdapter();

class Application {}
const rules = { 'orders/*': { replay: 'newest' } };
Module({
  imports: [
    FeedModule.forRoot({ path: 'feeds', public: true, publishKey: 'a-key', rules, handover: HANDOVER !== 'false', tracer: otelTracer() }),
  ],
})(Application);
const app = await NestFactory.create(Application, adapter, { logger: false });
app.enableShutdownHooks(undefined, { useProcessExit: true });
await app.listen(0, '127.0.0.1');
process.stdout.write(`http://127.0.0.1:${app.getHttpServer().address().port}\n`);
