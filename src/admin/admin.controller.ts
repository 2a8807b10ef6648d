import {
  type CanActivate,
  Controller,
  Delete,
  Get,
  Header,
  Inject,
  Post,
  Req,
  type Type,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import * as v from 'valibot';
import type { Revocation } from '../feed/auth/revocations.js';
import { badQuery, listLimit, numberOf } from '../feed/errors/query-rules.js';
import type { ConnectionPage, ConnectionQuery, EndedCount, RevokeOptions } from '../feed/feed.control.js';
import type { FeedPage } from '../feed/feed.directory.js';
import { FEED_OPTIONS, type ResolvedFeedOptions } from '../feed/feed.options.js';
import { FeedService } from '../feed/feed.service.js';
import type { AnyRequest } from '../feed/http/adapter.js';
import { readBody } from '../feed/http/body.js';
import { FeedRequest } from '../feed/http/feed-request.js';
import { DocumentedQuery } from '../feed/http/openapi.js';
import type { NodeCounts } from '../feed/stats/counts.js';
import { flagOf, readQuery } from './admin-query.js';
import { ErrorHeadersInterceptor } from './error-headers.interceptor.js';

const filters = ['feed', 'subject', 'connection', 'address', 'node', 'token'] as const;
const listed = [...filters, 'state', 'scope', 'limit', 'after'] as const;
const listedFeeds = ['prefix', 'limit', 'after'] as const;
const ended = [...filters, 'reason', 'reconnect'] as const;
const noStore = Header('Cache-Control', 'no-store');

/** The service checks the values. */
const revocation = v.strictObject({ subject: v.optional(v.unknown()), jti: v.optional(v.unknown()), until: v.optional(v.unknown()) });
const bodyRule = 'The body must be { subject: text, until }, or { jti: text, until }: until when the tokens are refused.';

/** The routes of operators: connections, revocations, feeds by prefix, nodes. */
class AdminController {
  constructor(
    @Inject(FeedService) private readonly feeds: FeedService,
    @Inject(FEED_OPTIONS) private readonly options: ResolvedFeedOptions,
  ) {}

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

  /** Revokes tokens: `{ subject | jti, until }`. */
  @Post('revocations')
  @noStore
  async revoke(@Req() request: AnyRequest): Promise<EndedCount & { until: number }> {
    const feedRequest = FeedRequest.of(request);
    readQuery(feedRequest.query, []);
    const body = v.safeParse(revocation, await readBody(feedRequest, this.options.bodyBytes, ['application/json']));
    if (!body.success) throw badQuery(bodyRule);
    return this.feeds.revoke(body.output as RevokeOptions);
  }

  /** What is revoked, as the node that answers knows it. */
  @Get('revocations')
  @noStore
  @DocumentedQuery('limit')
  revocations(@Req() request: AnyRequest): { revocations: Revocation[]; total: number } {
    const limit = listLimit(numberOf(readQuery(FeedRequest.of(request).query, ['limit']).limit));
    const all = this.feeds.revocations();
    return { revocations: all.slice(0, limit), total: all.length };
  }

  @Get('feeds')
  @noStore
  @DocumentedQuery(...listedFeeds)
  list(@Req() request: AnyRequest): Promise<FeedPage> {
    const { limit, ...query } = readQuery(FeedRequest.of(request).query, listedFeeds);
    return this.feeds.list({ ...query, limit: numberOf(limit) });
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
  @UseInterceptors(ErrorHeadersInterceptor)
  class AdminControllerAt extends AdminController {}
  return AdminControllerAt;
}
