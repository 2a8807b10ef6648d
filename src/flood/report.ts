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
  /** The server's, where its process is known. */
  rssBytes?: number;
  cpuSeconds?: number;
  /** CPU time in seconds of each of its kernel threads so far, by the thread's id and name: `"4242 node"`. */
  threads?: Record<string, number>;
}

/** What a flood found. */
export interface FloodReport {
  url: string;
  /** When the flood began, as an ISO 8601 time. */
  startedAt: string;
  format: string | null;
  /** Whether every connection opened, stayed open, and lost, repeated or mixed up nothing. */
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
  /** Open connections that never got a numbered chunk, so that nothing could be checked. */
  unchecked: number;
  /** The longest that any connection waited between two chunks. */
  largestSilenceMs: number;
  firstByteMs: { p50: number; p99: number; max: number };
  seconds: number;
  /** While all connections were open. */
  chunksPerSecond: number;
  client: { rssBytes: number; cpuSeconds: number; cpuMicrosPerChunk: number | null };
  /** The server's process, where it is known; its CPU per chunk is that of the time when all connections were open. */
  server?: {
    pid: number;
    rssBeforeBytes: number;
    rssBytes: number;
    bytesPerConnection: number;
    cpuSeconds: number;
    cpuMicrosPerChunk: number | null;
  };
  samples: FloodSample[];
}
