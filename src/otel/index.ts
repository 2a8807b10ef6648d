export type { OtelTracerOptions } from './otel-tracer.js';
export { otelTracer } from './otel-tracer.js';
export { traceOf } from './trace-context.js';
