/** Whether a service takes connections and messages. */
export interface FeedStatus {
  /** Whether it is shutting down: load balancers should send nothing more. */
  readonly isDraining: boolean;
  /** Connections open now. */
  readonly open: number;
  /** Connections that were ever opened. */
  readonly opened: number;
  /** Requests for a feed, and messages to one, that were ever rejected. */
  readonly rejected: number;
  /** The most connections that may be open; Infinity for no limit. */
  readonly limit: number;
  readonly broker: {
    /** `memory`, `redis`, `nats`, or the name of your own. */
    readonly name: string;
    /** Since when it is unavailable, in milliseconds since 1970; undefined while it is available. */
    readonly unavailableSince?: number | undefined;
    /** Why it is unavailable: for operators, since it may name addresses. Undefined while it is available, or unknown. */
    readonly unavailableReason?: string | undefined;
    /** Bytes of history in the memory of this process; undefined where the broker does not know: Redis has it. */
    readonly historyBytes?: number | undefined;
    /** Since when it is so slow that new connections are rejected, in milliseconds since 1970; undefined while it is not. */
    readonly slowSince?: number | undefined;
  };
}
