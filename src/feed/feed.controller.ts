import {
  type CanActivate,
  Controller,
  Delete,
  Get,
  HttpCode,
  Inject,
  Post,
  Query,
  Req,
  Res,
  SetMetadata,
  type Type,
  UseGuards,
} from '@nestjs/common';
import * as v from 'valibot';
import { withoutToken } from './auth/credentials.js';
import { checkMayPublish } from './auth/grant.js';
import { FeedOpener } from './connection/feed-opener.js';
import { FeedException } from './errors/feed-exception.js';
import { tooLarge } from './errors/to-feed-exception.js';
import { FEED_OPTIONS, type ResolvedFeedOptions } from './feed.options.js';
import type { AnyRequest, AnyResponse } from './http/adapter.js';
import { readBody, readEnd } from './http/body.js';
import { FeedRequest, idPaths } from './http/feed-request.js';
import { FEED_PATHS } from './http/feed-routes.js';
import { withErrorHead } from './http/head.js';
import { Undocumented } from './http/openapi.js';
import { contentOf } from './message/content.js';
import { checkFeedId } from './message/feed-id.js';
import type { StoredMessage } from './message/message.js';
import { Publisher } from './pubsub/publisher.js';
import { Router } from './pubsub/router.js';
import type { FeedContext } from './source/source.js';

/** A published message, as the answer to its publisher describes it. */
export interface PublishAnswer {
  /** The message's id: the position on the feed after it, for `Last-Event-ID` and `?since=`. */
  id: string;
  feed: string;
  /** How many subscribers the feed has in this process. */
  subscribers: number;
}

/** The most feeds that one request may publish to. */
const mostPublished = 1000;

/** Bytes that the names of so many feeds may take beside the data, in JSON. */
const namesBytes = mostPublished * 203 + 512;

const fanOut = v.strictObject({
  feeds: v.pipe(v.array(v.string()), v.minLength(1), v.maxLength(mostPublished)),
  type: v.optional(v.string()),
  data: v.unknown(),
});

/**
 * The built-in routes: `GET <path>/:id` follows a feed, `GET <path>?id=a&id=b` several, `POST <path>/:id` publishes to one, `POST <path>` to
 * many, `POST <path>/:id?end` ends one, `DELETE <path>/:id` clears one. An id may have slashes, plain or as `%2F`.
 */
class FeedController {
  constructor(
    private readonly opener: FeedOpener,
    private readonly publisher: Publisher,
    private readonly router: Router,
    @Inject(FEED_OPTIONS) private readonly options: ResolvedFeedOptions,
  ) {}

  @Get(['', ...idPaths])
  @SetMetadata(FEED_PATHS, ['', ...idPaths])
  async follow(@Req() request: AnyRequest, @Res() response: AnyResponse): Promise<void> {
    const asked = FeedRequest.of(request);
    const { pathFeed } = asked;
    const ids = pathFeed === undefined ? asked.queryFeeds : [pathFeed];
    const { source, sourceHasIds } = this.options;
    await this.opener.open(request, response, {
      feeds: ids,
      source: source && (() => source(contextOf(asked, ids))),
      resume: true,
      sourceHasIds,
      labelled: pathFeed === undefined,
    });
  }

  @Post(idPaths)
  async publish(
    @Req() request: AnyRequest,
    @Res({ passthrough: true }) response: AnyResponse,
    @Query('type') type?: string,
  ): Promise<PublishAnswer> {
    const asked = FeedRequest.of(request);
    try {
      const feed = checkFeedId(asked.pathFeed);
      checkMayPublish(asked, [feed]);
      const end = asked.query.get('end');
      if (end !== null) return this.answerTo(await this.publisher.end(feed, await readEnd(asked, end, this.options.bodyBytes)));
      const data = await readBody(asked, this.options.bodyBytes);
      const [answer] = await this.send([feed], data, type);
      return answer as PublishAnswer;
    } catch (error) {
      throw withErrorHead(error, response);
    }
  }

  @Post()
  async publishMany(@Req() request: AnyRequest, @Res({ passthrough: true }) response: AnyResponse): Promise<{ messages: PublishAnswer[] }> {
    const asked = FeedRequest.of(request);
    try {
      const body = v.safeParse(fanOut, await readBody(asked, this.options.bodyBytes + namesBytes, ['application/json']));
      if (!body.success || !('data' in body.output)) {
        throw new FeedException('FEED_MESSAGE', { message: `The body must be { feeds: [1 to ${mostPublished} ids], type?: text, data }.` });
      }
      const { feeds, type, data } = body.output;
      checkMayPublish(asked, feeds.map(checkFeedId));
      return { messages: await this.send([...new Set(feeds)], data, type) };
    } catch (error) {
      throw withErrorHead(error, response);
    }
  }

  @Delete(idPaths)
  @HttpCode(204)
  async clear(@Req() request: AnyRequest, @Res({ passthrough: true }) response: AnyResponse): Promise<void> {
    const asked = FeedRequest.of(request);
    try {
      const feed = checkFeedId(asked.pathFeed);
      checkMayPublish(asked, [feed]);
      await this.publisher.clear(feed);
    } catch (error) {
      throw withErrorHead(error, response);
    }
  }

  /** A value may be longer in the form in which it is published than in the one in which it came. */
  private async send(feeds: string[], data: unknown, type: string | undefined): Promise<PublishAnswer[]> {
    const { bodyBytes } = this.options;
    const content = contentOf(data, type);
    if (Buffer.byteLength(content.text) > bodyBytes) throw tooLarge(bodyBytes);
    const messages = await this.publisher.publish(feeds, content);
    return messages.map((message) => this.answerTo(message));
  }

  private answerTo({ id, feed }: StoredMessage): PublishAnswer {
    return { id, feed, subscribers: this.router.topic(feed)?.size ?? 0 };
  }
}

function contextOf(asked: FeedRequest, ids: readonly string[]): FeedContext {
  return {
    id: ids[0] as string,
    ids,
    url: withoutToken(asked.target),
    request: asked.raw,
    get signal() {
      return asked.signal;
    },
  };
}

/** The controller for a path and guards that are known when the module is imported. */
export function feedControllerAt(path: string, guards: readonly (CanActivate | Type<CanActivate>)[]): Type<unknown> {
  @Undocumented()
  @Controller(path)
  @UseGuards(...guards)
  class FeedControllerAt extends FeedController {}
  return FeedControllerAt;
}
