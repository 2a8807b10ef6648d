import { Controller, Inject, Post, Req, Res, type Type } from '@nestjs/common';
import { Authenticator } from './auth/authenticator.js';
import { checkMayRead } from './auth/grant.js';
import type { FeedTicket, Tickets } from './auth/tickets.js';
import { type AnyRequest, type AnyResponse, rawOf } from './http/adapter.js';
import { FeedRequest } from './http/feed-request.js';
import { withErrorHead } from './http/head.js';
import { Undocumented } from './http/openapi.js';

/** Issues one-time tickets: `POST <path>`, for all feeds that the token may read, or with `?id=` for these alone. */
class TicketController {
  constructor(@Inject(Authenticator) private readonly authenticator: Authenticator) {}

  @Post()
  async create(@Req() request: AnyRequest, @Res({ passthrough: true }) response: AnyResponse): Promise<FeedTicket> {
    const feedRequest = FeedRequest.of(request);
    try {
      const feeds = feedRequest.query.has('id') ? feedRequest.queryFeeds : undefined;
      const grant = await this.authenticator.authenticate(feedRequest, { action: 'read', feeds: () => feeds ?? [] });
      feedRequest.grant = grant;
      if (feeds) checkMayRead(feedRequest, feeds);
      const ticket = await (this.authenticator.tickets as Tickets).issue(feeds ? grant.narrowed(feeds) : grant);
      rawOf(response).setHeader('Cache-Control', 'no-store');
      return ticket;
    } catch (error) {
      throw withErrorHead(error, response);
    }
  }
}

/** The controller for a path that is known when the module is imported. */
export function ticketControllerAt(path: string): Type<unknown> {
  @Undocumented()
  @Controller(path)
  class TicketControllerAt extends TicketController {}
  return TicketControllerAt;
}
