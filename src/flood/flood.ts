import { createHistogram } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { FloodOptionsError } from './errors.js';
import { checkLimits } from './limits.js';
import { type Crowd, Member } from './member.js';
import { type FloodOptions, type ResolvedFloodOptions, resolveFloodOptions } from './options.js';
import { type ProcessSample, sampleProcess } from './process-sample.js';
import type { FloodReport, FloodSample } from './report.js';

export interface FloodWatch {
  /** Called as the flood begins, each second, and as it ends. */
  onSample?(sample: FloodSample, options: ResolvedFloodOptions): void;
  /** Ends the flood early; what there is until then is reported. */
  signal?: AbortSignal;
}

const accept = { text: 'text/plain', sse: 'text/event-stream', ndjson: 'application/x-ndjson' };

/** Seconds below which a last sample is not worth taking: CPU time is counted in hundredths of a second. */
const shortest = 0.5;

/** How often connections that are due are opened, in milliseconds. */
const step = 10;

/**
 * Opens connections at a rate, holds them, and checks what arrives on each.
 *
 * @throws FloodOptionsError when an option is wrong, or the system's limits are too low
 */
export async function flood(options: FloodOptions, watch: FloodWatch = {}): Promise<FloodReport> {
  const resolved = resolveFloodOptions(options);
  checkLimits(resolved);
  const { pid } = resolved;
  if (pid !== undefined && !sampleProcess(pid)) {
    throw new FloodOptionsError(`pid ${pid} is not a process whose /proc entry can be read`, 'pid');
  }
  return new Flood(options.url, resolved, watch).run();
}

class Flood implements Crowd {
  readonly host: string;
  readonly port: number;
  readonly headers: string;
  private readonly members: Member[] = [];
  private readonly samples: FloodSample[] = [];
  private readonly reasons = new Map<string, number>();
  private readonly firstBytes = createHistogram();
  private readonly serverBefore: ProcessSample | undefined;
  private readonly cpuBefore = process.cpuUsage();
  private begunAt = 0;
  private startedAt = new Date(0);
  private chunks = 0;
  private received = 0;
  private openNow = 0;
  private openedEver = 0;
  private failed = 0;
  private endedEarly = 0;

  constructor(
    private readonly url: string,
    private readonly options: ResolvedFloodOptions,
    private readonly watch: FloodWatch,
  ) {
    const { host, port, format, pid } = options;
    this.host = host;
    this.port = port;
    const authority = host.includes(':') ? `[${host}]` : host;
    this.headers = [`Host: ${authority}:${port}`, ...(format ? [`Accept: ${accept[format]}`] : [])].join('\r\n');
    this.serverBefore = pid === undefined ? undefined : sampleProcess(pid);
  }

  async run(): Promise<FloodReport> {
    this.begunAt = performance.now();
    this.startedAt = new Date();
    this.sample();
    const sampling = setInterval(() => this.sample(), 1000);
    try {
      await this.ramp();
      const { chunks } = this;
      const heldAt = performance.now();
      const serverAt = this.sampleServer();
      const cpuAt = process.cpuUsage();
      await this.wait(this.options.duration * 1000);
      const heldSeconds = (performance.now() - heldAt) / 1000;
      if (this.seconds() - (this.samples.at(-1)?.at ?? 0) >= shortest) this.sample();
      return this.finish({ chunks: this.chunks - chunks, seconds: heldSeconds, serverAt, cpu: process.cpuUsage(cpuAt) });
    } finally {
      clearInterval(sampling);
      const now = performance.now();
      for (const member of this.members) member.close(now);
    }
  }

  firstByte(ms: number): void {
    this.firstBytes.record(Math.max(1, Math.round(ms * 1000)));
  }

  opened(): void {
    this.openNow += 1;
    this.openedEver += 1;
  }

  chunk(): void {
    this.chunks += 1;
  }

  bytes(count: number): void {
    this.received += count;
  }

  lost({ state }: Member, why: string): void {
    if (state === 'endedEarly') {
      this.openNow -= 1;
      this.endedEarly += 1;
    } else {
      this.failed += 1;
    }
    this.reasons.set(why, (this.reasons.get(why) ?? 0) + 1);
  }

  /** Opens the connections, as many each step as are due by then. */
  private async ramp(): Promise<void> {
    const { connections, rate, path, sources } = this.options;
    while (this.members.length < connections && !this.watch.signal?.aborted) {
      const due = Math.min(connections, Math.ceil(((performance.now() - this.begunAt) * rate) / 1000));
      while (this.members.length < due) {
        const n = this.members.length + 1;
        this.members.push(new Member(this, pathOf(path, n), sources[n % sources.length]));
      }
      this.failLate();
      await this.wait(step);
    }
    while (this.members.some(({ state }) => state === 'connecting') && !this.watch.signal?.aborted) {
      await this.wait(step);
      this.failLate();
    }
  }

  private failLate(): void {
    const now = performance.now();
    const { timeout } = this.options;
    for (const member of this.members) if (member.isLate(now, timeout * 1000)) member.fail(`no answer within ${timeout} s`);
  }

  private async wait(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.watch.signal }).catch(() => {});
  }

  private sampleServer(): ProcessSample | undefined {
    return this.options.pid === undefined ? undefined : sampleProcess(this.options.pid);
  }

  /** How long the flood has lasted. */
  private seconds(): number {
    return (performance.now() - this.begunAt) / 1000;
  }

  private sample(): void {
    const before = this.samples.reduce((sum, { chunks }) => sum + chunks, 0);
    const sample: FloodSample = {
      at: this.seconds(),
      begun: this.members.length,
      open: this.openNow,
      failed: this.failed,
      endedEarly: this.endedEarly,
      chunks: this.chunks - before,
      ...this.sampleServer(),
    };
    this.samples.push(sample);
    this.watch.onSample?.(sample, this.options);
  }

  private finish(held: { chunks: number; seconds: number; serverAt: ProcessSample | undefined; cpu: NodeJS.CpuUsage }): FloodReport {
    const now = performance.now();
    const serverNow = this.sampleServer();
    let missing = 0;
    let repeated = 0;
    let outOfOrder = 0;
    let misdelivered = 0;
    let unchecked = 0;
    let largestSilenceMs = 0;
    for (const member of this.members) {
      member.close(now);
      const { sequence } = member;
      missing += sequence.missing;
      repeated += sequence.repeated;
      outOfOrder += sequence.outOfOrder;
      misdelivered += member.misdelivered;
      if (sequence.last === 0 && member.state !== 'failed') unchecked += 1;
      largestSilenceMs = Math.max(largestSilenceMs, member.silence);
    }
    const { failed, endedEarly, firstBytes } = this;
    const perChunk = (cpuSeconds: number) => (held.chunks > 0 ? (cpuSeconds * 1e6) / held.chunks : null);
    const { user, system } = process.cpuUsage(this.cpuBefore);
    const report: FloodReport = {
      url: this.url,
      startedAt: this.startedAt.toISOString(),
      format: this.options.format ?? null,
      ok: failed + endedEarly + missing + repeated + outOfOrder + misdelivered === 0 && this.members.length === this.options.connections,
      connections: this.options.connections,
      opened: this.openedEver,
      failed,
      endedEarly,
      reasons: Object.fromEntries(this.reasons),
      chunks: this.chunks,
      bytes: this.received,
      missing,
      repeated,
      outOfOrder,
      misdelivered,
      unchecked,
      largestSilenceMs,
      firstByteMs:
        firstBytes.count === 0
          ? { p50: 0, p99: 0, max: 0 }
          : { p50: firstBytes.percentile(50) / 1000, p99: firstBytes.percentile(99) / 1000, max: firstBytes.max / 1000 },
      seconds: (now - this.begunAt) / 1000,
      chunksPerSecond: held.seconds > 0 ? held.chunks / held.seconds : 0,
      client: {
        rssBytes: process.memoryUsage.rss(),
        cpuSeconds: (user + system) / 1e6,
        cpuMicrosPerChunk: perChunk((held.cpu.user + held.cpu.system) / 1e6),
      },
      samples: this.samples,
    };
    const { serverBefore } = this;
    if (this.options.pid !== undefined && serverBefore && serverNow) {
      report.server = {
        pid: this.options.pid,
        rssBeforeBytes: serverBefore.rssBytes,
        rssBytes: serverNow.rssBytes,
        bytesPerConnection: this.openNow > 0 ? (serverNow.rssBytes - serverBefore.rssBytes) / this.openNow : 0,
        cpuSeconds: serverNow.cpuSeconds - serverBefore.cpuSeconds,
        cpuMicrosPerChunk: held.serverAt ? perChunk(serverNow.cpuSeconds - held.serverAt.cpuSeconds) : null,
      };
    }
    return report;
  }
}

/** The n-th path: the number goes behind the path, before its query. */
function pathOf(path: string, n: number): string {
  const query = path.indexOf('?');
  return query < 0 ? path + n : path.slice(0, query) + n + path.slice(query);
}
