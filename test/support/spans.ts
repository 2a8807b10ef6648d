import { context, SpanKind, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  type Sampler,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { until } from './until.js';

/** A real SDK that keeps the spans of a process, once they have ended. */
export class Spans {
  private readonly exporter = new InMemorySpanExporter();
  readonly provider: BasicTracerProvider;

  constructor(sampler?: Sampler) {
    this.provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(this.exporter)], ...(sampler && { sampler }) });
  }

  get all(): ReadableSpan[] {
    return this.exporter.getFinishedSpans();
  }

  of(kind: SpanKind): ReadableSpan[] {
    return this.all.filter((span) => span.kind === kind);
  }

  /** Waits until so many spans of a kind have ended. */
  async ended(kind: SpanKind, count: number): Promise<ReadableSpan[]> {
    await until(() => this.of(kind).length >= count);
    return this.of(kind);
  }
}

/** As an SDK does for the whole process: what is active goes on over what is awaited. */
export function installContext(): void {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
}

/** Undoes what an SDK has installed. */
export function uninstall(): void {
  context.disable();
  trace.disable();
}
