import type { DurationSummary } from './durations.js';

/** The state of a flood at one time: at the beginning, each second, and at the end. */
export interface FloodSample {
  /** Seconds since the flood began. */
  at: number;
  /** Connections started so far, including those that failed. */
  begun: number;
  open: number;
  failed: number;
  endedEarly: number;
  /** Chunks since the previous sample. */
  chunks: number;
  /** Messages delivered since the previous sample, if the flood publishes. */
  delivered?: number;
  /** Of the server, if its process is known. */
  rssBytes?: number;
  cpuSeconds?: number;
  /** CPU time of each of its kernel threads so far in seconds, by the thread's id and name: `"4242 node"`. */
  threads?: Record<string, number>;
}

/** The results for the messages that a flood published. */
export interface PublishReport {
  /** Messages per second, as requested. */
  rate: number;
  /** Messages per second, as sent. */
  perSecond: number;
  sent: number;
  /** Messages that were due and not sent within a second: earlier ones waited for their responses, or there were no followers. */
  unsent: number;
  /** Messages whose response had status 201. */
  acknowledged: number;
  /** Messages whose response had another status or was missing: their delivery is not expected. */
  failed: number;
  /** How many failed, by reason. */
  reasons: Record<string, number>;
  /** Deliveries: a message counts once for each follower that got it. */
  delivered: number;
  /** Deliveries of acknowledged messages that are missing, counted for each follower that stayed open. */
  lost: number;
  /** Deliveries that arrived more than once, after a later message, or on another feed. */
  repeated: number;
  outOfOrder: number;
  misdelivered: number;
  /** The time from sending a message until a follower got it, over all deliveries. */
  latencyMs: DurationSummary;
  /** The time from sending a message until its last follower got it, over all messages. */
  lastMs: DurationSummary;
}

/** The results of a flood. */
export interface FloodReport {
  url: string;
  /** The start of the flood, as an ISO 8601 time. */
  startedAt: string;
  format: string | null;
  /** Whether every connection opened, stayed open and got everything once and in order, and every message was published. */
  ok: boolean;
  connections: number;
  /** Connections whose response had status 200. */
  opened: number;
  failed: number;
  endedEarly: number;
  /** How many connections failed or ended early, by reason. */
  reasons: Record<string, number>;
  chunks: number;
  bytes: number;
  /** Chunks that are missing, arrived more than once, arrived late, or belong to another connection. */
  missing: number;
  repeated: number;
  outOfOrder: number;
  misdelivered: number;
  /** Open connections without a numbered chunk, on which nothing could be checked. 0 if there were only messages. */
  unchecked: number;
  /** The longest time between two chunks of a connection. */
  largestSilenceMs: number;
  firstByteMs: DurationSummary;
  seconds: number;
  /** While all connections were open. */
  chunksPerSecond: number;
  publish?: PublishReport;
  /** CPU time per chunk, and per delivery of a chunk or a message, is measured while all connections are open. */
  client: { rssBytes: number; cpuSeconds: number; cpuMicrosPerChunk: number | null; cpuMicrosPerDelivery: number | null };
  /** The server's process, if it is known. */
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
