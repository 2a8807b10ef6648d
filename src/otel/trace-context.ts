import { createTraceState, isSpanContextValid, type SpanContext } from '@opentelemetry/api';
import type { FeedMessage } from '../feed/message/message.js';
import { notedTrace } from '../feed/message/trace.js';

const traceparentForm = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** A context as messages carry it; undefined where no span is recorded or passed on, as without an SDK. */
export function traceText(context: SpanContext): string | undefined {
  if (!isSpanContextValid(context)) return undefined;
  const { traceId, spanId, traceFlags, traceState } = context;
  const traceparent = `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
  const tracestate = traceState?.serialize();
  return tracestate ? `${traceparent} ${tracestate}` : traceparent;
}

/** The context that a message carries; undefined where another tracer has written it. */
export function spanContextOf(trace: string): SpanContext | undefined {
  const [traceparent = '', ...rest] = trace.split(' ');
  const [, traceId, spanId, flags] = traceparentForm.exec(traceparent) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  const context: SpanContext = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
  if (rest.length > 0) context.traceState = createTraceState(rest.join(' '));
  return isSpanContextValid(context) ? context : undefined;
}

/**
 * The context of the span that published a message, for a link or as a parent. It is that of a message as `messages()` and `history()` give
 * it, and of a copy that is made by spreading it.
 *
 * @returns undefined where it was published without tracing
 */
export function traceOf(message: FeedMessage): SpanContext | undefined {
  const trace = notedTrace(message);
  return trace === undefined ? undefined : spanContextOf(trace);
}
