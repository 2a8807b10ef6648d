import { noBearer } from '../auth/grant.js';
import type { Revocations } from '../auth/revocations.js';
import { BrokerUnavailableError } from '../errors/broker.errors.js';
import { type FeedErrorCode, FeedException } from '../errors/feed-exception.js';
import { toFeedException } from '../errors/to-feed-exception.js';
import type { FeedRequest } from '../http/feed-request.js';
import { type RejectReason, rejectReasons } from '../stats/counts.js';
import { OpenQueue } from '../transport/open-queue.js';
import { hasTurn } from '../transport/socket-proxy.js';
import { ClientAddress } from './client-address.js';
import { ClientLimits } from './client-limits.js';
import { EarlyAnswers } from './early-answers.js';
import { Intake } from './intake.js';
import type { ResolvedLimitOptions } from './limit.options.js';
import { UserAgents } from './user-agents.js';

/** Who a connection counts for. */
export interface Client {
  /** The subject of its token: the claim `sub`. */
  readonly subject?: string | undefined;
  /** When its token expires, in milliseconds since 1970. */
  readonly expiresAt?: number | undefined;
  /** The id of its token: the claim `jti`. */
  readonly tokenId?: string | undefined;
  /** What the presence of its feeds shows of it: the claim `info`, in JSON. */
  readonly info?: string | undefined;
  /** Where it comes from: see `ClientAddress`. */
  readonly address?: string | undefined;
  /** The beginning of its `User-Agent`. */
  readonly userAgent?: string | undefined;
  /** What limits count it as: its subject, or its address. Undefined where there are no limits for clients. */
  readonly key?: string | undefined;
}

function keyOf(subject: string | undefined, address: string): string {
  return subject === undefined ? address : `sub:${subject}`;
}

const overloaded = 'The service is opening as many connections as it can.';

/** Accepts requests for feeds within the limits, and counts those that it rejects by reason. */
export class Admission {
  readonly clients: ClientLimits;
  /** Those that wait for the broker. */
  readonly intake = new Intake();
  /** Those that wait to be opened. */
  readonly openQueue: OpenQueue;
  /** Whether the service is shutting down. */
  isDraining = false;
  private readonly addresses: ClientAddress;
  private readonly userAgents = new UserAgents();
  private readonly earlyAnswers = new EarlyAnswers(overloaded);
  private readonly counts = Object.fromEntries(rejectReasons.map((reason) => [reason, 0])) as Record<RejectReason, number>;

  constructor(
    private readonly options: ResolvedLimitOptions & { readonly maxConnections: number; readonly maxOpenDelayMs: number },
    private readonly revocations: Pick<Revocations, 'check'>,
  ) {
    this.clients = new ClientLimits(options);
    this.openQueue = new OpenQueue(options.maxOpenDelayMs);
    this.addresses = new ClientAddress(options.trustedProxies);
  }

  /** The most connections that may be open; Infinity for no limit. */
  get maxConnections(): number {
    return this.options.maxConnections;
  }

  /** Rejected requests since the process started. */
  get rejected(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count);
  }

  /** The same by reason. */
  get rejectedBy(): Record<RejectReason, number> {
    return { ...this.counts };
  }

  /** Counts a rejected request. */
  count(reason: RejectReason): void {
    this.counts[reason] += 1;
  }

  /** Rejects a request that nothing has been done for, since it would have to wait for too long; returns the answer, as bytes in Latin-1. */
  refuse(): string {
    this.count('overload');
    return this.earlyAnswers.get(this.openQueue.retryAfter());
  }

  /**
   * Accepts a request that may become a connection; nothing is allocated yet.
   *
   * @param open connections open now
   * @returns who the connection counts for
   * @throws FeedException FEED_UNAVAILABLE (503) at the limit, while connections are opened too slowly, and while the service shuts down; FEED_TOO_MANY (429) at a limit of the client; FEED_REVOKED (403)
   */
  admit(request: FeedRequest, open: number): Client {
    const { maxConnections } = this.options;
    this.checkDraining();
    this.checkQueue(request);
    if (open >= maxConnections) throw this.rejection('limit', 'FEED_UNAVAILABLE', `All ${maxConnections} connections are in use.`);
    const { raw, grant } = request;
    const { subject, expiresAt, tokenId, info } = grant?.bearer ?? noBearer;
    if (grant) this.revocations.check(grant.bearer); // since the guard's look, one may have come
    const address = this.addresses.of(raw);
    const userAgent = this.userAgents.of(raw.headers['user-agent']);
    const key = this.clients.isLimited ? keyOf(subject, address) : undefined;
    if (key !== undefined) this.admitClient(key, true);
    return { subject, expiresAt, tokenId, info, address, userAgent, key };
  }

  /**
   * Accepts a request that is answered at once: it takes no connection, and counts in the rate of its client as a new one.
   *
   * @throws FeedException FEED_UNAVAILABLE (503) while connections are opened too slowly, and while the service shuts down; FEED_TOO_MANY (429) at the client's rate
   */
  admitOnce(request: FeedRequest): void {
    this.checkDraining();
    this.checkQueue(request);
    if (!this.clients.isLimited) return;
    const key = this.keyOf(request);
    this.admitClient(key, false);
    this.clients.note(key);
  }

  /**
   * Has an accepted request wait for the broker.
   *
   * @throws FeedException FEED_BROKER (503) while others wait for too long
   */
  beginWaiting(connection: object): void {
    if (this.intake.isFull) throw this.rejection('broker', 'FEED_BROKER', 'The message broker is slow.', this.intake.retryAfter());
    this.intake.begin(connection);
  }

  /** What a request gets that has failed: where the broker is unavailable, it is rejected for that. */
  rejectionOf(error: unknown): unknown {
    if (!(error instanceof BrokerUnavailableError)) return toFeedException(error);
    this.count('broker');
    return new FeedException('FEED_BROKER', { cause: error, retryAfter: this.intake.retryAfter() });
  }

  /** Who a request comes from: the subject of its token, or its address. */
  keyOf({ grant, raw }: FeedRequest): string {
    return keyOf(grant?.bearer.subject, this.addresses.of(raw));
  }

  private checkDraining(): void {
    if (this.isDraining) throw this.rejection('draining', 'FEED_UNAVAILABLE', 'The service is shutting down.');
  }

  /** One that comes where there is no queue, such as a later request on a socket, does not overtake those that are in it. */
  private checkQueue({ raw }: FeedRequest): void {
    const { openQueue } = this;
    if (openQueue.isFull && !hasTurn(raw)) throw this.rejection('overload', 'FEED_UNAVAILABLE', overloaded, openQueue.retryAfter());
  }

  private admitClient(key: string, stays: boolean): void {
    const { maxConnectionsPerClient, connectionRatePerClient } = this.options;
    const reason = this.clients.check(key, stays);
    if (reason === 'client') throw this.rejection(reason, 'FEED_TOO_MANY', `A client may have ${maxConnectionsPerClient} connections.`);
    if (reason === 'rate') {
      const message = `A client may open ${connectionRatePerClient} connections a minute.`;
      throw this.rejection(reason, 'FEED_TOO_MANY', message, this.clients.retryAfter(key));
    }
  }

  private rejection(reason: RejectReason, code: FeedErrorCode, message: string, retryAfter?: number): FeedException {
    this.count(reason);
    return new FeedException(code, { message, ...(retryAfter !== undefined && { retryAfter }) });
  }
}
