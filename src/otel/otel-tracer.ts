import type { IncomingMessage } from 'node:http';
import {
  type Attributes,
  type Context,
  context,
  createContextKey,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  type TracerProvider,
  trace,
} from '@opentelemetry/api';
import type { StoredMessage } from '../feed/message/message.js';
import type { FeedTracer, Opened, OpeningTrace, TracedMessage } from '../feed/tracing/feed-tracer.js';
import { spanContextOf, traceText } from './trace-context.js';

/** The instrumentation scope of the spans. */
const scope = 'nestjs-feed';

/** Options of `otelTracer()`. */
export interface OtelTracerOptions {
  /** What makes the spans. Default: the provider that your SDK has registered, also where it does so later. */
  tracerProvider?: TracerProvider;
}

/**
 * Records spans of OpenTelemetry, for `FeedModule`'s option `tracer`. Needs `@opentelemetry/api`; without an SDK, nothing is recorded, and
 * messages carry no context unless a request brings one.
 */
export function otelTracer({ tracerProvider = trace.getTracerProvider() }: OtelTracerOptions = {}): FeedTracer {
  return new OtelTracer(tracerProvider.getTracer(scope));
}

/** Attributes are those of the semantic conventions for messaging and HTTP, and `feed.*`. */
class OtelTracer implements FeedTracer {
  constructor(private readonly tracer: Tracer) {}

  async publish(destination: string, append: (trace: string | undefined) => Promise<StoredMessage>): Promise<StoredMessage> {
    const attributes = messagingOf(destination, 'publish', 'send');
    const span = this.tracer.startSpan(`publish ${destination}`, { kind: SpanKind.PRODUCER, attributes });
    try {
      const work = () => append(traceText(span.spanContext()));
      const message = await context.with(trace.setSpan(context.active(), span), work);
      span.setAttribute('messaging.message.id', message.id);
      return message;
    } catch (error) {
      noteError(span, error);
      throw error;
    } finally {
      span.end();
    }
  }

  deliver(destination: string, message: TracedMessage, deliver: () => void): void {
    const producer = spanContextOf(message.trace);
    if (!producer || (producer.traceFlags & TraceFlags.SAMPLED) === 0) {
      deliver();
      return;
    }
    const attributes = { ...messagingOf(destination, 'deliver', 'process'), 'messaging.message.id': message.id };
    const options = { kind: SpanKind.CONSUMER, attributes, links: [{ context: producer }] };
    // Its parent as well: so it is sampled as the publication was.
    const parent = trace.setSpanContext(ROOT_CONTEXT, producer);
    const span = this.tracer.startSpan(`deliver ${destination}`, options, parent);
    try {
      context.with(trace.setSpan(parent, span), deliver);
    } finally {
      span.end();
    }
  }

  open(request: IncomingMessage, route: string, isResumed: boolean): OpeningTrace {
    const active = context.active();
    const isInner = trace.getSpan(active) !== undefined;
    const attributes = { 'http.request.method': request.method ?? '', 'http.route': route, 'feed.resumed': isResumed };
    const kind = isInner ? SpanKind.INTERNAL : SpanKind.SERVER;
    const parent = isInner ? active : propagation.extract(active, request.headers);
    return new OpeningSpan(this.tracer.startSpan(`open ${route}`, { kind, attributes }, parent), active);
  }
}

/** Where instrumentations of HTTP keep the span of a request: `getRPCMetadata()` of `@opentelemetry/core`. */
const rpcMetadata = createContextKey('OpenTelemetry SDK Context Key RPC_METADATA');

function same(this: Span): Span {
  return this;
}

/** What a span does once it has been ended for its instrumentation, which writes to it again at the end of the stream: the SDK would log that. */
const ended: Partial<Span> = { setAttribute: same, setAttributes: same, setStatus: same, updateName: same, end() {} };

/** The span of an opening. */
class OpeningSpan implements OpeningTrace {
  /** @param outer what was active where it began */
  constructor(
    private readonly span: Span,
    private readonly outer: Context,
  ) {}

  end({ status, destinations, connection }: Opened): void {
    const { span } = this;
    if (status !== undefined) span.setAttribute('http.response.status_code', status);
    if (connection) span.setAttribute('feed.format', connection.format);
    span.setAttribute('feed.destinations', [...destinations]);
    span.end();
    if (connection && !connection.isHandedOver) this.endRequest(status);
  }

  /** Ends the span that an instrumentation has begun for the request: it would wait for the end of the response, which is that of the stream. */
  private endRequest(status: number | undefined): void {
    const { span } = (this.outer.getValue(rpcMetadata) ?? {}) as { span?: Span };
    if (!span) return;
    if (status !== undefined) span.setAttribute('http.response.status_code', status);
    span.end();
    Object.assign(span, ended);
  }

  /** As an HTTP server's, the span of a request that is the client's fault has no status. */
  fail(error: unknown): void {
    const { span } = this;
    const status = statusOf(error);
    span.setAttribute('http.response.status_code', status);
    if (status >= 500) noteError(span, error);
    else span.setAttribute('error.type', typeOf(error));
    span.end();
  }
}

function messagingOf(destination: string, name: string, type: string): Attributes {
  return {
    'messaging.system': 'nestjs_feed',
    'messaging.destination.name': destination,
    'messaging.operation.name': name,
    'messaging.operation.type': type,
  };
}

function noteError(span: Span, error: unknown): void {
  span.setAttribute('error.type', typeOf(error));
  if (error instanceof Error) span.recordException(error);
  span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.message : String(error) });
}

/** Few, and those of the documentation: the code of an error, or its name. */
function typeOf(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  return [code, name].find((each) => typeof each === 'string') ?? '_OTHER';
}

/** What Nest answers with. */
function statusOf(error: unknown): number {
  const { getStatus } = (error ?? {}) as { getStatus?: unknown };
  return typeof getStatus === 'function' ? Number(getStatus.call(error)) : 500;
}
