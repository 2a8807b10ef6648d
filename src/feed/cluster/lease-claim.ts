import * as v from 'valibot';

/** What a node says of leases. */
const claim = v.object({
  holder: v.pipe(v.string(), v.maxLength(64)),
  termMs: v.pipe(v.number(), v.minValue(1), v.maxValue(600_000)),
  take: v.optional(v.array(v.object({ name: v.string(), note: v.optional(v.string()) })), []),
  release: v.optional(v.array(v.string()), []),
  /** Leases that their holders are asked to release. Any node may ask. */
  recall: v.optional(v.array(v.string()), []),
});

const claimText = v.pipe(v.string(), v.parseJson(), claim);

export type Claim = v.InferInput<typeof claim>;

/** What a message says of leases; undefined where no node can have published it. */
export function claimOf(text: string): v.InferOutput<typeof claim> | undefined {
  const { success, output } = v.safeParse(claimText, text);
  return success ? output : undefined;
}

/** What a node knows of a lease. */
export interface Lease {
  readonly holder: string;
  readonly note: string | undefined;
  /** When it expires by the clock of the broker, in milliseconds since 1970. Until then, no other node can take it. */
  readonly until: number;
  /** When it is over as far as this process can tell, by `performance.now()`. */
  readonly overAt: number;
}

/** What leases are kept for. */
export interface LeaseListener {
  /** The holder of a lease has not renewed it. Told again until a node takes it. */
  onExpired(name: string, note: string | undefined): void;
  /** A lease has been released, by whichever node. */
  onReleased(name: string): void;
  /** Some node asks for a lease of this one to be released. */
  onRecalled(name: string): void;
  /** Another node has taken a lease of this one, which did not renew it in time. */
  onTaken(name: string): void;
}
