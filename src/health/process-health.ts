import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';

/** What the process as a whole costs. */
export interface ProcessCounts {
  rssBytes: number;
  /** How late the event loop was, in milliseconds, over the last 10 to 20 seconds. */
  eventLoopDelayMs: { p50: number; p99: number };
}

/** Length of a window of the event loop's delays, in milliseconds. */
const windowMs = 10_000;
/** How often the delay is sampled, in milliseconds; what is measured includes it. More often would cost an idle process 1 % of a CPU. */
const resolution = 20;

/** Watches the process. Two histograms take turns, so that old delays are forgotten and there is always a full window. */
@Injectable()
export class ProcessHealth implements OnModuleInit, OnModuleDestroy {
  private current: IntervalHistogram = monitorEventLoopDelay({ resolution });
  private next: IntervalHistogram = monitorEventLoopDelay({ resolution });
  private timer: NodeJS.Timeout | undefined;

  onModuleInit(): void {
    this.current.enable();
    this.next.enable();
    this.timer = setInterval(() => this.rotate(), windowMs).unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.timer);
    this.current.disable();
    this.next.disable();
  }

  counts(): ProcessCounts {
    return {
      rssBytes: process.memoryUsage.rss(),
      eventLoopDelayMs: { p50: this.delay(50), p99: this.delay(99) },
    };
  }

  private delay(percentile: number): number {
    const ms = this.current.percentile(percentile) / 1e6 - resolution;
    return Math.max(0, Math.round(ms * 100) / 100);
  }

  private rotate(): void {
    this.current.reset();
    [this.current, this.next] = [this.next, this.current];
  }
}
