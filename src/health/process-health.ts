import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';

/** The memory and the responsiveness of a process. */
export interface ProcessCounts {
  /** Resident memory. */
  rssBytes: number;
  /** The event loop's delay over the last 10 to 20 seconds, in milliseconds. */
  eventLoopDelayMs: { p50: number; p99: number };
}

/** The length of a measuring window, in milliseconds. */
const windowMs = 10_000;
/** The sampling interval, in milliseconds; measured delays include it. A shorter one would cost an idle process 1 % of a CPU. */
const resolution = 20;

/** Measures the process. Two histograms alternate, so that old delays drop out while one of them always covers a full window. */
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
