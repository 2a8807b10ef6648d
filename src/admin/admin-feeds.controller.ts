import {
  type CanActivate,
  Controller,
  Delete,
  Get,
  Header,
  HttpCode,
  Inject,
  Post,
  Req,
  type Type,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { numberOf } from '../feed/errors/query-rules.js';
import type { PublishAnswer } from '../feed/feed.controller.js';
import type { FeedDetails } from '../feed/feed.directory.js';
import { FEED_OPTIONS, type ResolvedFeedOptions } from '../feed/feed.options.js';
import { FeedService } from '../feed/feed.service.js';
import type { AnyRequest } from '../feed/http/adapter.js';
import { readBody } from '../feed/http/body.js';
import { FeedRequest, idPaths } from '../feed/http/feed-request.js';
import { Undocumented } from '../feed/http/openapi.js';
import type { FeedHistory } from '../feed/pubsub/history.js';
import { flagOf, readQuery } from './admin-query.js';
import { ErrorHeadersInterceptor } from './error-headers.interceptor.js';

const inspected = ['since', 'last', 'limit', 'reverse'] as const;
const noStore = Header('Cache-Control', 'no-store');

/** A feed, and what is stored of it. */
export type InspectedFeed = FeedDetails & Pick<FeedHistory, 'messages' | 'position' | 'reset'>;

/** The routes of operators for single feeds, whose ids are as in the routes of feeds. */
class AdminFeedsController {
  constructor(
    @Inject(FeedService) private readonly feeds: FeedService,
    @Inject(FEED_OPTIONS) private readonly options: ResolvedFeedOptions,
  ) {}

  /** A feed's subscribers on each node, and its history. */
  @Get(idPaths)
  @noStore
  async inspect(@Req() request: AnyRequest): Promise<InspectedFeed> {
    const feedRequest = FeedRequest.of(request);
    const feed = feedRequest.pathFeed;
    const { since, last, limit, reverse } = readQuery(feedRequest.query, inspected);
    const range = { since, last: numberOf(last), limit: numberOf(limit), reverse: flagOf('reverse', reverse) };
    const [details, { messages, position, reset }] = await Promise.all([this.feeds.details(feed), this.feeds.history(feed, range)]);
    return { ...details, messages, position, ...(reset && { reset }) };
  }

  @Post(idPaths)
  async publish(@Req() request: AnyRequest): Promise<PublishAnswer> {
    const feedRequest = FeedRequest.of(request);
    const feed = feedRequest.pathFeed;
    const { type } = readQuery(feedRequest.query, ['type']);
    const { id } = await this.feeds.publish(feed, await readBody(feedRequest, this.options.bodyBytes), { type });
    return { id: id as string, feed, subscribers: this.feeds.subscribers(feed) };
  }

  @Delete(idPaths)
  @HttpCode(204)
  async clear(@Req() request: AnyRequest): Promise<void> {
    const feedRequest = FeedRequest.of(request);
    readQuery(feedRequest.query, []);
    await this.feeds.clear(feedRequest.pathFeed);
  }
}

/** The controller for a path and guards that are known when the module is imported. */
export function adminFeedsControllerAt(path: string, guards: readonly (CanActivate | Type<CanActivate>)[]): Type<unknown> {
  @Undocumented()
  @Controller(`${path}/feeds`)
  @UseGuards(...guards)
  @UseInterceptors(ErrorHeadersInterceptor)
  class AdminFeedsControllerAt extends AdminFeedsController {}
  return AdminFeedsControllerAt;
}
