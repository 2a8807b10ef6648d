import { type CanActivate, Controller, Delete, Get, Header, Inject, Req, type Type, UseGuards, UseInterceptors } from '@nestjs/common';
import type { ConnectionPage, ConnectionQuery, EndedCount } from '../feed/feed.control.js';
import { FeedService } from '../feed/feed.service.js';
import type { AnyRequest } from '../feed/http/adapter.js';
import { FeedRequest } from '../feed/http/feed-request.js';
import { DocumentedQuery } from '../feed/http/openapi.js';
import type { NodeCounts } from '../feed/stats/counts.js';
import { AdminErrors } from './admin.errors.js';
import { flagOf, numberOf, readQuery } from './admin.query.js';

const filters = ['feed', 'subject', 'connection', 'address', 'node', 'token'] as const;
const listed = [...filters, 'state', 'scope', 'limit', 'after'] as const;
const ended = [...filters, 'reason', 'reconnect'] as const;
const noStore = Header('Cache-Control', 'no-store');

/** The routes of operators: connections, nodes. */
class AdminController {
  constructor(@Inject(FeedService) private readonly feeds: FeedService) {}

  @Get('connections')
  @noStore
  @DocumentedQuery(...listed)
  connections(@Req() request: AnyRequest): Promise<ConnectionPage> {
    const { limit, ...query } = readQuery(FeedRequest.of(request).query, listed);
    return this.feeds.connections({ ...query, limit: numberOf(limit) } as ConnectionQuery);
  }

  /** Ends connections. Without a filter it ends none, and is rejected. */
  @Delete('connections')
  @noStore
  @DocumentedQuery(...ended)
  disconnect(@Req() request: AnyRequest): Promise<EndedCount> {
    const { reason, reconnect, ...filter } = readQuery(FeedRequest.of(request).query, ended);
    return this.feeds.disconnect(filter, { reason, reconnect: flagOf('reconnect', reconnect) });
  }

  @Get('nodes')
  @noStore
  nodes(@Req() request: AnyRequest): Promise<{ nodes: NodeCounts[]; missing: readonly string[] }> {
    readQuery(FeedRequest.of(request).query, []);
    return this.feeds.cluster();
  }
}

/** The controller for a path and guards that are known when the module is imported. */
export function adminControllerAt(path: string, guards: readonly (CanActivate | Type<CanActivate>)[]): Type<unknown> {
  @Controller(path)
  @UseGuards(...guards)
  @UseInterceptors(AdminErrors)
  class AdminControllerAt extends AdminController {}
  return AdminControllerAt;
}
