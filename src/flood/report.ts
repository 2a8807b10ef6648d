import type { DurationSummary } from './durations.js';

/** A flood at one time: as it begins, each second, and as it ends. */
export interface FloodSample {
  /** Seconds since the flood began. */
  at: number;
  /** Connections begun so far, whatever became of them. */
  begun: number;
  open: number;
  failed: number;
  endedEarly: number;
  /** Chunks since the sample before. */
  chunks: number;
  /** Messages delivered since the sample before, where the flood publishes. */
  delivered?: number;
  /** The server's, where its process is known. */
  rssBytes?: number;
  cpuSeconds?: number;
  /** CPU time in seconds of each of its kernel threads so far, by the thread's id and name: `"4242 node"`. */
  threads?: Record<string, number>;
}

/** What became of the messages that a flood published. */
export interface PublishReport {
  /** Messages a second, as asked for. */
  rate: number;
  /** Messages a second, as they were sent. */
  perSecond: number;
  sent: number;
  /** Messages that were due, and not sent up to a second after: those before them waited for their answers, or nobody followed. */
  unsent: number;
  /** Messages that were answered with 201. */
  acknowledged: number;
  /** Messages that were not: of these, nothing is expected. */
  failed: number;
  /** Why they failed: how many of each. */
  reasons: Record<string, number>;
  /** Messages received: one counts for each follower that got it. */
  delivered: number;
  /** Deliveries of acknowledged messages that never came, counted for each follower that stayed open. */
  lost: number;
  /** Deliveries that came more than once, came after a later message, or were another feed's. */
  repeated: number;
  outOfOrder: number;
  misdelivered: number;
  /** From sending a message until a follower had it, over deliveries. */
  latencyMs: DurationSummary;
  /** From sending a message until the last of its followers had it, over messages. */
  lastMs: DurationSummary;
}

/** What a flood found. */
export interface FloodReport {
  url: string;
  /** When the flood began, as an ISO 8601 time. */
  startedAt: string;
  format: string | null;
  /** Whether every connection opened, stayed open, and lost, repeated or mixed up nothing, and every message was published. */
  ok: boolean;
  connections: number;
  /** Connections that answered with 200. */
  opened: number;
  failed: number;
  endedEarly: number;
  /** Why connections failed or ended early: how many of each. */
  reasons: Record<string, number>;
  chunks: number;
  bytes: number;
  /** Chunks that never came, came more than once, came late, or were another connection's. */
  missing: number;
  repeated: number;
  outOfOrder: number;
  misdelivered: number;
  /** Open connections that never got a numbered chunk, so that nothing could be checked. 0 where messages are all that came. */
  unchecked: number;
  /** The longest that any connection waited between two chunks. */
  largestSilenceMs: number;
  firstByteMs: DurationSummary;
  seconds: number;
  /** While all connections were open. */
  chunksPerSecond: number;
  publish?: PublishReport;
  /** CPU time per chunk, and per delivery (of a chunk or a message), is that of the time when all connections were open. */
  client: { rssBytes: number; cpuSeconds: number; cpuMicrosPerChunk: number | null; cpuMicrosPerDelivery: number | null };
  /** The server's process, where it is known. */
  server?: {
    pid: number;
    rssBeforeBytes: number;
    rssBytes: number;
    bytesPerConnection: number;
    cpuSeconds: number;
    cpuMicrosPerChunk: number | null;
    cpuMicrosPerDelivery: number | null;
  };
  samples: FloodSample[];
}
