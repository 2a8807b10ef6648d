import {
  type CanActivate,
  Controller,
  Delete,
  Get,
  HttpCode,
  Inject,
  Post,
  Req,
  Res,
  SetMetadata,
  type Type,
  UseGuards,
} from '@nestjs/common';
import * as v from 'valibot';
import { withoutToken } from './auth/credentials.js';
import { checkMayPublish } from './auth/grant.js';
import { FeedAnswerer } from './connection/feed-answerer.js';
import { FeedOpener } from './connection/feed-opener.js';
import { type FeedErrorCode, type FeedErrorDetails, FeedException } from './errors/feed-exception.js';
import { badQuery } from './errors/query-rules.js';
import { tooLarge } from './errors/to-feed-exception.js';
import { FEED_OPTIONS, type ResolvedFeedOptions } from './feed.options.js';
import { type AnyRequest, type AnyResponse, setStatus } from './http/adapter.js';
import { readBody, readEnd } from './http/body.js';
import { FeedRequest, idPaths, type NamedFeeds } from './http/feed-request.js';
import { FEED_PATHS, NAMED_FEEDS } from './http/feed-routes.js';
import { withErrorHead } from './http/head.js';
import { type HistoryRequest, historyRequest } from './http/history-request.js';
import { Undocumented } from './http/openapi.js';
import { PublishLimits } from './limits/publish-limits.js';
import { contentOf } from './message/content.js';
import { checkFeedId, checkFeedIds } from './message/feed-id.js';
import type { Content, StoredMessage } from './message/message.js';
import { MessagePublisher } from './pubsub/message-publisher.js';
import type { PublishOptions } from './pubsub/publish-options.js';
import { Router } from './pubsub/router.js';
import { Runs } from './run/runs.js';
import type { FeedContext } from './source/source.js';

/** A published message, as the answer to its publisher describes it. */
export interface PublishAnswer {
  /** The message's id: the position on the feed after it, for `Last-Event-ID` and `?since=`. */
  id: string;
  feed: string;
  /** How many subscribers the feed has in this process. */
  subscribers: number;
}

/** Why one of several messages was not published, in the form of the answer that it would have had alone. */
export interface Rejection extends Pick<FeedErrorDetails, 'retryAfter' | 'limit' | 'issues'> {
  feed: string;
  statusCode: number;
  error: string;
  code: FeedErrorCode;
  message: string;
}

/** The most feeds that one request may publish to. */
const mostPublished = 1000;

/** Bytes that the names of so many feeds may take beside the data, in JSON. */
const namesBytes = mostPublished * 203 + 512;

/** How many times the limit of one message several together may have. */
const batchShare = 16;

const fanOut = v.strictObject({
  feeds: v.pipe(v.array(v.string()), v.minLength(1), v.maxLength(mostPublished)),
  type: v.optional(v.string()),
  data: v.unknown(),
});

const batch = v.strictObject({
  messages: v.pipe(
    v.array(v.strictObject({ feed: v.string(), type: v.optional(v.string()), data: v.unknown(), key: v.optional(v.string()) })),
    v.minLength(1),
    v.maxLength(mostPublished),
  ),
});

const bodyRule = `The body must be { feeds: [1 to ${mostPublished} ids], type?: text, data }, or { messages: [1 to ${mostPublished} of { feed, type?: text, data, key?: text }] }.`;

/** The feed that the path names, or those of the query. */
const named: NamedFeeds = (request) => (request.pathName === undefined ? request.queryFeeds : [request.pathFeed]);

/**
 * The built-in routes: `GET <path>/:id` follows a feed, `GET <path>?id=a&id=b` several, with `?mode=once` they answer with history, `POST <path>/:id` publishes to one, `POST <path>` to
 * many, `POST <path>/:id?end` ends one, `DELETE <path>/:id` clears one. An id may have slashes, plain or as `%2F`.
 */
class FeedController {
  constructor(
    private readonly opener: FeedOpener,
    private readonly answerer: FeedAnswerer,
    private readonly publisher: MessagePublisher,
    private readonly router: Router,
    private readonly runs: Runs,
    private readonly limits: PublishLimits,
    @Inject(FEED_OPTIONS) private readonly options: ResolvedFeedOptions,
  ) {}

  @Get(['', ...idPaths])
  @SetMetadata(FEED_PATHS, ['', ...idPaths])
  @SetMetadata(NAMED_FEEDS, named)
  async follow(@Req() request: AnyRequest, @Res() response: AnyResponse): Promise<void> {
    const feedRequest = FeedRequest.of(request);
    const { ids, wanted } = this.wantedBy(feedRequest, response);
    if (wanted) return this.answerer.answer(feedRequest, response, ids, wanted);
    const { source, sourceHasIds } = this.options;
    await this.opener.open(feedRequest, response, {
      named,
      source: source && (() => source(contextOf(feedRequest, [...ids]))),
      resume: true,
      sourceHasIds,
      labelled: feedRequest.pathName === undefined,
    });
  }

  @Post(idPaths)
  @SetMetadata(NAMED_FEEDS, named)
  async publish(@Req() request: AnyRequest, @Res({ passthrough: true }) response: AnyResponse): Promise<PublishAnswer> {
    const feedRequest = FeedRequest.of(request);
    try {
      const feed = feedRequest.pathFeed;
      checkMayPublish(feedRequest, [feed]);
      this.limits.check(feedRequest);
      const end = feedRequest.parameter('end');
      const type = feedRequest.parameter('type');
      const expected = feedRequest.parameter('expected');
      if (end !== undefined) {
        if ((type ?? expected) !== undefined) throw badQuery('end goes without type and expected.');
        return await this.end(feedRequest, feed, end);
      }
      const data = await readBody(feedRequest, this.options.bodyBytes);
      this.limits.take(feedRequest);
      const options = { type, key: keyOf(feedRequest), expected };
      const [answer] = await this.send([feed], data, options);
      return answer as PublishAnswer;
    } catch (error) {
      throw this.refused(error, feedRequest, response);
    }
  }

  @Post()
  async publishMany(
    @Req() request: AnyRequest,
    @Res({ passthrough: true }) response: AnyResponse,
  ): Promise<{ messages: (PublishAnswer | Rejection)[] }> {
    const feedRequest = FeedRequest.of(request);
    const { bodyBytes } = this.options;
    try {
      this.limits.check(feedRequest);
      const single = ['type', 'expected', 'end'].find((name) => feedRequest.query.has(name));
      if (single !== undefined) throw badQuery(`${single} goes with one feed, in the path; the type of several messages is in the body.`);
      const body = await readBody(feedRequest, Math.max(bodyBytes + namesBytes, batchShare * bodyBytes), ['application/json']);
      const several = v.safeParse(batch, body);
      if (several.success) {
        const messages = await Promise.all(several.output.messages.map((message) => this.sendOne(feedRequest, message)));
        setStatus(response, messages.some((answer) => 'code' in answer) ? 207 : 201);
        return { messages };
      }
      const same = v.safeParse(fanOut, body);
      if (!same.success || !('data' in same.output)) throw new FeedException('FEED_MESSAGE', { message: bodyRule });
      const { feeds, type, data } = same.output;
      const different = checkFeedIds(feeds);
      checkMayPublish(feedRequest, different);
      this.limits.take(feedRequest, different.length);
      return { messages: await this.send(different, data, { type, key: keyOf(feedRequest) }) };
    } catch (error) {
      throw this.refused(error, feedRequest, response);
    }
  }

  @Delete(idPaths)
  @SetMetadata(NAMED_FEEDS, named)
  @HttpCode(204)
  async clear(@Req() request: AnyRequest, @Res({ passthrough: true }) response: AnyResponse): Promise<void> {
    const feedRequest = FeedRequest.of(request);
    try {
      const feed = feedRequest.pathFeed;
      checkMayPublish(feedRequest, [feed]);
      this.limits.take(feedRequest);
      await this.runs.clear(feed);
    } catch (error) {
      throw this.refused(error, feedRequest, response);
    }
  }

  private wantedBy(request: FeedRequest, response: AnyResponse): { ids: readonly string[]; wanted: HistoryRequest | undefined } {
    try {
      const ids = request.feedsBy(named) as readonly string[];
      return { ids, wanted: historyRequest(request, ids) };
    } catch (error) {
      throw this.refused(error, request, response);
    }
  }

  private refused(error: unknown, request: FeedRequest, response: AnyResponse): unknown {
    this.router.measures.noteRefusal(error, request.namedFeed);
    return withErrorHead(error, response);
  }

  private async end(request: FeedRequest, feed: string, reason: string): Promise<PublishAnswer> {
    const end = await readEnd(request, reason, this.options.bodyBytes);
    this.limits.take(request);
    return this.answerTo(await this.runs.end(feed, end));
  }

  /** One of several messages: what is wrong with it is its own result. */
  private async sendOne(request: FeedRequest, { feed, data, ...options }: v.InferOutput<typeof batch>['messages'][number]) {
    try {
      checkMayPublish(request, [checkFeedId(feed)]);
      this.limits.take(request);
      const [answer] = await this.send([feed], data, options);
      return answer as PublishAnswer;
    } catch (error) {
      if (!(error instanceof FeedException)) throw error;
      this.router.measures.noteRefusal(error, feed);
      return { feed, ...(error.getResponse() as Omit<Rejection, 'feed'>) };
    }
  }

  private async send(feeds: string[], data: unknown, options: PublishOptions): Promise<PublishAnswer[]> {
    const messages = await this.publisher.publish(feeds, data, options, this.serialise);
    return messages.map((message) => this.answerTo(message));
  }

  /** A value may be longer in the form in which it is published than in the one in which it came. */
  private readonly serialise = (data: unknown, type: string | undefined): Content => {
    const { bodyBytes } = this.options;
    const content = contentOf(data, type);
    if (Buffer.byteLength(content.text) > bodyBytes) throw tooLarge(bodyBytes);
    return content;
  };

  private answerTo({ id, feed }: StoredMessage): PublishAnswer {
    return { id, feed, subscribers: this.router.topic(feed)?.size ?? 0 };
  }
}

/** What a request that may be repeated is told by (IETF draft "The Idempotency-Key HTTP Header Field"). */
function keyOf({ raw }: FeedRequest): string | undefined {
  const key = raw.headers['idempotency-key'];
  return Array.isArray(key) ? key.join(', ') : key;
}

function contextOf(request: FeedRequest, ids: readonly string[]): FeedContext {
  return {
    id: ids[0] as string,
    ids,
    url: withoutToken(request.target),
    request: request.raw,
    get signal() {
      return request.signal;
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
