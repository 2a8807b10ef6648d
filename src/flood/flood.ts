import { Connection, type ConnectionListener } from './connection.js';
import { Durations } from './durations.js';
import { FloodOptionsError } from './errors.js';
import { Feed } from './feed.js';
import { checkLimits } from './limits.js';
import { type FloodOptions, type ResolvedFloodOptions, resolveFloodOptions } from './options.js';
import { pause } from './pause.js';
import { type ProcessSample, sampleProcess } from './process-sample.js';
import { Publisher } from './publisher.js';
import type { FloodReport, FloodSample } from './report.js';
import { type SequenceFaults, sumFaults } from './sequence.js';

/** Observes a flood, and may end it. */
export interface FloodObserver {
  /** Called at the beginning, each second, and at the end. */
  onSample?(sample: FloodSample, options: ResolvedFloodOptions): void;
  /** Ends the flood early; the report covers the time until then. */
  signal?: AbortSignal;
}

const accept = { text: 'text/plain', sse: 'text/event-stream', ndjson: 'application/x-ndjson' };

/** The shortest time after which a last sample is taken, in seconds: CPU time is counted in hundredths of a second. */
const minSampleSeconds = 0.5;

/** The interval at which due connections are opened, in milliseconds. */
const stepMs = 10;

/**
 * Opens connections at a rate, holds them, and checks what arrives on each: the chunks that the server sends by itself, and the messages that
 * are published meanwhile.
 *
 * @throws FloodOptionsError if an option is invalid, or the system's limits are too low
 */
export async function flood(options: FloodOptions, observer: FloodObserver = {}): Promise<FloodReport> {
  const resolved = resolveFloodOptions(options);
  checkLimits(resolved);
  const { pid } = resolved;
  if (pid !== undefined && !sampleProcess(pid)) {
    throw new FloodOptionsError(`pid ${pid} is not a process whose /proc entry can be read`, 'pid');
  }
  return new Flood(options.url, resolved, observer).run();
}

class Flood implements ConnectionListener {
  readonly host: string;
  readonly port: number;
  readonly headers: string;
  private readonly feeds: Feed[];
  private readonly connections: Connection[] = [];
  private readonly publisher: Publisher | undefined;
  private readonly samples: FloodSample[] = [];
  private readonly reasons = new Map<string, number>();
  private readonly firstBytes = new Durations();
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
    private readonly observer: FloodObserver,
  ) {
    const { host, port, path, format, token, pid, publish, feeds } = options;
    this.host = host;
    this.port = port;
    const authority = host.includes(':') ? `[${host}]` : host;
    this.headers = [
      `Host: ${authority}:${port}`,
      ...(format ? [`Accept: ${accept[format]}`] : []),
      ...(token === undefined ? [] : [`Authorization: Bearer ${token}`]),
    ].join('\r\n');
    this.feeds = Array.from({ length: feeds }, (_, n) => new Feed(pathOf(path, n + 1)));
    this.publisher = publish === undefined ? undefined : new Publisher(publish, this.feeds, options);
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
      await (this.publisher?.run(this.observer.signal) ?? pause(this.options.duration * 1000, this.observer.signal));
      const heldSeconds = (performance.now() - heldAt) / 1000;
      if (this.seconds() - (this.samples.at(-1)?.at ?? 0) >= minSampleSeconds) this.sample();
      return this.finish({ chunks: this.chunks - chunks, seconds: heldSeconds, serverAt, cpu: process.cpuUsage(cpuAt) });
    } finally {
      clearInterval(sampling);
      const now = performance.now();
      for (const connection of this.connections) connection.close(now);
    }
  }

  onFirstByte(ms: number): void {
    this.firstBytes.record(ms);
  }

  onOpen(): void {
    this.openNow += 1;
    this.openedEver += 1;
  }

  onChunk(): void {
    this.chunks += 1;
  }

  onMessage(micros: number, isLast: boolean): void {
    this.publisher?.receive(micros, isLast);
  }

  onBytes(count: number): void {
    this.received += count;
  }

  onFailure({ state }: Connection, reason: string): void {
    if (state === 'endedEarly') {
      this.openNow -= 1;
      this.endedEarly += 1;
    } else {
      this.failed += 1;
    }
    this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1);
  }

  /** Opens the connections at the rate, until all of them are open or have failed. */
  private async ramp(): Promise<void> {
    const { connections, rate, sources } = this.options;
    const { feeds } = this;
    while (this.connections.length < connections && !this.observer.signal?.aborted) {
      const due = Math.min(connections, Math.ceil(((performance.now() - this.begunAt) * rate) / 1000));
      while (this.connections.length < due) {
        const n = this.connections.length;
        this.connections.push(new Connection(this, feeds[n % feeds.length] as Feed, sources[n % sources.length]));
      }
      this.failLate();
      await pause(stepMs, this.observer.signal);
    }
    while (this.connections.some(({ state }) => state === 'connecting') && !this.observer.signal?.aborted) {
      await pause(stepMs, this.observer.signal);
      this.failLate();
    }
  }

  private failLate(): void {
    const now = performance.now();
    const { timeout } = this.options;
    for (const connection of this.connections)
      if (connection.isLate(now, timeout * 1000)) connection.fail(`no response within ${timeout} s`);
  }

  private sampleServer(): ProcessSample | undefined {
    return this.options.pid === undefined ? undefined : sampleProcess(this.options.pid);
  }

  /** How long the flood has been running. */
  private seconds(): number {
    return (performance.now() - this.begunAt) / 1000;
  }

  private sample(): void {
    const { publisher } = this;
    const before = (count: 'chunks' | 'delivered') => this.samples.reduce((sum, sample) => sum + (sample[count] ?? 0), 0);
    const sample: FloodSample = {
      at: this.seconds(),
      begun: this.connections.length,
      open: this.openNow,
      failed: this.failed,
      endedEarly: this.endedEarly,
      chunks: this.chunks - before('chunks'),
      ...(publisher && { delivered: publisher.delivered - before('delivered') }),
      ...this.sampleServer(),
    };
    this.samples.push(sample);
    this.observer.onSample?.(sample, this.options);
  }

  private finish(held: { chunks: number; seconds: number; serverAt: ProcessSample | undefined; cpu: NodeJS.CpuUsage }): FloodReport {
    const now = performance.now();
    const serverNow = this.sampleServer();
    let unchecked = 0;
    let largestSilenceMs = 0;
    for (const connection of this.connections) {
      connection.close(now);
      if (connection.chunks.last === 0 && connection.state !== 'failed') unchecked += 1;
      largestSilenceMs = Math.max(largestSilenceMs, connection.silence);
    }
    const { failed, endedEarly } = this;
    const faults = sumFaults(this.connections.map(({ chunks }) => chunks));
    const publish = this.publisher?.report(this.connections.map(({ messages }) => messages));
    const costs = (cpuSeconds: number | undefined) => {
      const micros = (count: number) => (cpuSeconds === undefined || count === 0 ? null : (cpuSeconds * 1e6) / count);
      return { cpuMicrosPerChunk: micros(held.chunks), cpuMicrosPerDelivery: micros(held.chunks + (publish?.delivered ?? 0)) };
    };
    const { user, system } = process.cpuUsage(this.cpuBefore);
    const report: FloodReport = {
      url: this.url,
      startedAt: this.startedAt.toISOString(),
      format: this.options.format ?? null,
      ok:
        failed + endedEarly + faults.missing + countOf(faults) === 0 &&
        (publish ? publish.failed + publish.lost + countOf(publish) : 0) === 0 &&
        this.connections.length === this.options.connections,
      connections: this.options.connections,
      opened: this.openedEver,
      failed,
      endedEarly,
      reasons: Object.fromEntries(this.reasons),
      chunks: this.chunks,
      bytes: this.received,
      ...faults,
      // Feeds without chunks are checked by their messages, which not every one of them has.
      unchecked: publish && this.chunks === 0 ? 0 : unchecked,
      largestSilenceMs,
      firstByteMs: this.firstBytes.summary(),
      seconds: (now - this.begunAt) / 1000,
      chunksPerSecond: held.seconds > 0 ? held.chunks / held.seconds : 0,
      ...(publish && { publish }),
      client: {
        rssBytes: process.memoryUsage.rss(),
        cpuSeconds: (user + system) / 1e6,
        ...costs((held.cpu.user + held.cpu.system) / 1e6),
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
        ...costs(held.serverAt && serverNow.cpuSeconds - held.serverAt.cpuSeconds),
      };
    }
    return report;
  }
}

/** The n-th path: the number is appended to the path, before its query. */
function pathOf(path: string, n: number): string {
  const query = path.indexOf('?');
  return query < 0 ? path + n : path.slice(0, query) + n + path.slice(query);
}

function countOf({ repeated, outOfOrder, misdelivered }: Pick<SequenceFaults, 'repeated' | 'outOfOrder' | 'misdelivered'>): number {
  return repeated + outOfOrder + misdelivered;
}
