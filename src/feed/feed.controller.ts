import type { IncomingMessage, ServerResponse } from 'node:http';
import { type CanActivate, Controller, Get, Post, Query, Req, Res, SetMetadata, type Type, UseGuards } from '@nestjs/common';
import * as v from 'valibot';
import { withoutToken } from './auth/credentials.js';
import { assertMayPublish } from './auth/request-grant.js';
import { FeedBodyTooLargeException, FeedBrokerException, FeedMessageException } from './errors/feed.errors.js';
import { FeedService } from './feed.service.js';
import { type AnyResponse, rawOf, targetOf } from './http/adapter.js';
import { readBody } from './http/body.js';
import { idPaths, pathFeed, queryFeeds } from './http/feed-request.js';
import { FEED_PATHS } from './http/feed-routes.js';
import { contentOf } from './message/content.js';
import { checkFeedId } from './message/feed-id.js';

type FeedRequest = IncomingMessage & { params?: Record<string, string> };

/** A message as the one who published it over HTTP is told of it. */
export interface PublishAnswer {
  /** The message's id: the position on the feed after it, for `Last-Event-ID` and `?since=`. */
  id: string;
  feed: string;
  /** How many follow the feed in this process. */
  subscribers: number;
}

/** The most feeds that one request may publish to. */
export const mostPublished = 1000;

/** Bytes that the names of so many feeds may take beside the data, in JSON. */
const namesBytes = mostPublished * 203 + 512;

const fanOut = v.strictObject({
  feeds: v.pipe(v.array(v.string()), v.minLength(1), v.maxLength(mostPublished)),
  type: v.optional(v.string()),
  data: v.unknown(),
});

/**
 * The module's own routes: `GET <path>/:id` follows a feed, `GET <path>?id=a&id=b` several, `POST <path>/:id` publishes to one,
 * `POST <path>` to many. An id may have slashes, plain or as `%2F`.
 */
export class FeedController {
  constructor(readonly feeds: FeedService) {}

  @Get(['', ...idPaths])
  @SetMetadata(FEED_PATHS, ['', ...idPaths])
  async follow(@Req() request: FeedRequest, @Res() response: ServerResponse): Promise<void> {
    const feed = pathFeed(request);
    const ids = feed === undefined ? queryFeeds(request) : [feed];
    const { source, sourceHasIds } = this.feeds;
    await this.feeds.connect(request, response, {
      feeds: ids,
      source: source && (() => source({ id: ids[0] as string, ids, url: withoutToken(targetOf(request)), request: rawOf(request) })),
      resume: true,
      sourceHasIds,
      labelled: feed === undefined,
    });
  }

  @Post(idPaths)
  async publish(
    @Req() request: FeedRequest,
    @Res({ passthrough: true }) response: AnyResponse,
    @Query('type') type?: string,
  ): Promise<PublishAnswer> {
    const feed = checkFeedId(pathFeed(request));
    assertMayPublish(request, [feed]);
    const data = await readBody(request, this.feeds.bodyBytes);
    const [answer] = await this.send([feed], data, type, response);
    return answer as PublishAnswer;
  }

  @Post()
  async publishMany(
    @Req() request: FeedRequest,
    @Res({ passthrough: true }) response: AnyResponse,
  ): Promise<{ messages: PublishAnswer[] }> {
    const body = v.safeParse(fanOut, await readBody(request, this.feeds.bodyBytes + namesBytes, ['application/json']));
    if (!body.success || !('data' in body.output)) {
      throw new FeedMessageException(`The body must be { feeds: [1 to ${mostPublished} ids], type?: text, data }.`);
    }
    const { feeds, type, data } = body.output;
    assertMayPublish(request, feeds.map(checkFeedId));
    return { messages: await this.send([...new Set(feeds)], data, type, response) };
  }

  /** A value may be longer in the form in which it is published than in the one in which it came. */
  private async send(feeds: string[], data: unknown, type: string | undefined, response: AnyResponse): Promise<PublishAnswer[]> {
    const { bodyBytes } = this.feeds;
    const content = contentOf(data, type);
    if (Buffer.byteLength(content.text) > bodyBytes) throw new FeedBodyTooLargeException(bodyBytes);
    const messages = await this.feeds.publishContent(feeds, content).catch((error) => failAs(error, response));
    return messages.map(({ id, feed }) => ({ id, feed, subscribers: this.feeds.subscribers(feed) }));
  }
}

/** Tells in the head, too, when to try again. */
function failAs(error: unknown, response: AnyResponse): never {
  if (error instanceof FeedBrokerException) rawOf(response).setHeader('Retry-After', error.retryAfter);
  throw error;
}

/** The controller for a path and guards that are known when the module is imported. */
export function feedControllerAt(path: string, guards: readonly (CanActivate | Type<CanActivate>)[]): Type<FeedController> {
  @Controller(path)
  @UseGuards(...guards)
  class FeedControllerAt extends FeedController {
    constructor(feeds: FeedService) {
      super(feeds);
    }
  }
  return FeedControllerAt;
}
