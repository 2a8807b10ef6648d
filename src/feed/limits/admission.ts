import { grantOf } from '../auth/request-grant.js';
import type { Holder } from '../connection/connection.js';
import { type FeedBrokerException, FeedTooManyException, FeedUnavailableException } from '../errors/feed.errors.js';
import type { ResolvedFeedOptions } from '../feed.options.js';
import { type AnyRequest, type AnyResponse, rawOf } from '../http/adapter.js';
import { type RejectReason, rejectReasons } from '../stats/counts.js';
import { ClientAddress, clientOf } from './client-address.js';
import { ClientLimits } from './client-limits.js';

/** Seconds after which a client that was refused may try again. */
export const retryAfter = 5;

/** Most connections are for nobody in particular: one object for all of them. */
const nobody: Holder = {};

/** Lets requests for a feed in as long as there is room, tells the others when to come back, and counts those by reason. */
export class Admission {
  readonly clients: ClientLimits;
  private readonly addresses: ClientAddress;
  private readonly counts = Object.fromEntries(rejectReasons.map((reason) => [reason, 0])) as Record<RejectReason, number>;

  constructor(private readonly options: ResolvedFeedOptions) {
    this.clients = new ClientLimits(options);
    this.addresses = new ClientAddress(options.trustedProxies);
  }

  /** All requests that were ever refused, and why. */
  get rejected(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count);
  }

  get rejectedBy(): Record<RejectReason, number> {
    return { ...this.counts };
  }

  /**
   * Lets a request pass that may become a connection; nothing is allocated yet.
   *
   * @param open connections open now
   * @throws FeedUnavailableException (503, with `Retry-After`) at the limit and while the service shuts down
   * @throws FeedTooManyException (429, with `Retry-After`) at a limit for each client
   */
  admit(request: AnyRequest, response: AnyResponse, open: number, isDraining: boolean): void {
    const { maxConnections } = this.options;
    if (isDraining) {
      throw this.refusal(response, 'draining', new FeedUnavailableException('The service is shutting down.', retryAfter));
    }
    if (open >= maxConnections) {
      throw this.refusal(response, 'limit', new FeedUnavailableException(`All ${maxConnections} connections are taken.`, retryAfter));
    }
    if (this.clients.areSet) this.admitClient(clientOf(request, this.addresses), response);
  }

  /** Counts a refusal, and readies the response for it. */
  refusal<E extends FeedUnavailableException | FeedTooManyException | FeedBrokerException>(
    response: AnyResponse,
    reason: RejectReason,
    error: E,
  ): E {
    this.counts[reason] += 1;
    const res = rawOf(response);
    res.setHeader('Retry-After', error.retryAfter);
    // Descriptors are what there is too few of: one that was refused must not keep one. HTTP/2 has no such header.
    if (res.req.httpVersionMajor === 1) res.setHeader('Connection', 'close');
    return error;
  }

  /** Whom a connection is for, as far as anybody asks. */
  holderOf(request: AnyRequest): Holder {
    const grant = grantOf(request);
    if (!this.clients.areSet) return grant ?? nobody;
    return { subject: grant?.subject, expiresAt: grant?.expiresAt, client: clientOf(request, this.addresses) };
  }

  private admitClient(client: string, response: AnyResponse): void {
    const { maxConnectionsPerClient, connectionRatePerClient } = this.options;
    switch (this.clients.admit(client)) {
      case 'client': {
        const message = `A client may have ${maxConnectionsPerClient} connections.`;
        throw this.refusal(response, 'client', new FeedTooManyException(message, retryAfter));
      }
      case 'rate': {
        const message = `A client may open ${connectionRatePerClient} connections a minute.`;
        throw this.refusal(response, 'rate', new FeedTooManyException(message, this.clients.retryAfter(client)));
      }
    }
  }
}
