import { Inject, Injectable } from '@nestjs/common';
import * as v from 'valibot';
import { Broker, type StoredFeed } from './broker/broker.js';
import { FirstIds, type IdRange } from './broker/first-ids.js';
import { type Answers, type Command, NodeQueries } from './cluster/node-queries.js';
import { badQuery, listLimit, mostListed } from './errors/query-rules.js';
import { throwFeedException } from './errors/to-feed-exception.js';
import type { FeedEnd } from './message/end.js';
import { longestFeedId } from './message/feed-definition.js';
import { checkFeedId, isFeedPattern } from './message/feed-id.js';
import { Router } from './pubsub/router.js';

/** Which feeds are listed. */
export interface FeedQuery {
  /** What their ids begin with. Default: any. */
  readonly prefix?: string | undefined;
  /** How many at most, from 1 to 1000. Default: 100. */
  readonly limit?: number | undefined;
  /** The id behind which the list goes on: `next` of the one before. */
  readonly after?: string | undefined;
}

/** A feed, as operators see it. */
export interface FeedInfo {
  readonly id: string;
  /** Connections that follow it and readers of `messages()`, over all nodes that have answered. */
  readonly subscribers: number;
  /** How many messages are stored. Missing where the broker cannot say. */
  readonly historyLength?: number;
  /** How many bytes they have, as the option `historyBytes` counts them. Missing where the broker cannot say. */
  readonly historyBytes?: number;
  /** How long ago the newest of them was stored, in milliseconds. Missing where none is. */
  readonly ageMs?: number;
  /** How the feed has ended; missing where it has not. */
  readonly ended?: FeedEnd;
}

/** Some of the feeds. */
export interface FeedPage {
  /** By id. */
  readonly feeds: readonly FeedInfo[];
  /** Where the list goes on; missing at its end. */
  readonly next?: string;
  /** The names of the nodes that have not answered within a second: their subscribers are not counted. */
  readonly missing: readonly string[];
  /** Present where feeds without subscribers may be missing: the broker cannot list them, or there are too many. */
  readonly partial?: true;
}

/** One feed, with the subscribers of each node. */
export interface FeedDetails extends FeedInfo {
  readonly nodes: readonly { readonly name: string; readonly subscribers: number }[];
  readonly missing: readonly string[];
}

/** The feeds that have subscribers on a node. */
type SubscribedFeeds = readonly (readonly [id: string, subscribers: number])[];

const subscribedFeeds: Command<IdRange, SubscribedFeeds> = {
  name: 'feeds',
  argument: v.object({ prefix: v.string(), after: v.string(), most: v.pipe(v.number(), v.minValue(1), v.maxValue(mostListed + 1)) }),
  answer: v.array(v.tuple([v.string(), v.number()])),
};

/** Lists feeds over all nodes that share the broker: those with subscribers, and those of which something is stored. */
@Injectable()
export class FeedDirectory {
  constructor(
    private readonly queries: NodeQueries,
    private readonly router: Router,
    @Inject(Broker) private readonly broker: Broker,
  ) {
    queries.handle(subscribedFeeds, (range) => this.subscribedHere(range));
  }

  /** @throws FeedException FEED_QUERY, FEED_ID (400); FEED_BROKER (503) */
  async list({ prefix = '', limit: given, after }: FeedQuery): Promise<FeedPage> {
    const isText = typeof prefix === 'string';
    if (!isText || (prefix !== '' && (prefix.includes('*') || prefix.length > longestFeedId || !isFeedPattern(prefix)))) {
      throw badQuery("prefix is the beginning of a feed's id, without a *.");
    }
    const limit = listLimit(given);
    if (after !== undefined) checkFeedId(after);
    const range = { prefix, after: after ?? '', most: limit + 1 };
    const [answers, stored] = await Promise.all([this.queries.ask(subscribedFeeds, range), this.storedIds(range)]);
    const found = new FirstIds(range);
    for (const id of stored?.ids ?? []) found.add(id);
    for (const { value } of answers.answers) for (const [id] of value) found.add(id);
    const ids = found.first;
    const shown = ids.slice(0, limit);
    const feeds = await this.describe(shown, answers);
    return {
      feeds,
      ...(ids.length > limit && { next: shown.at(-1) as string }),
      missing: answers.missing,
      ...(!stored?.isWhole && { partial: true }),
    };
  }

  /** @throws FeedException FEED_ID (400); FEED_BROKER (503) */
  async details(feed: string): Promise<FeedDetails> {
    const id = checkFeedId(feed);
    // The first id that begins with it is itself, if it has subscribers.
    const answers = await this.queries.ask(subscribedFeeds, { prefix: id, after: '', most: 1 });
    const [info] = await this.describe([id], answers);
    const nodes = answers.answers.map(({ node, value }) => ({ name: node, subscribers: subscribersOf(id, value) }));
    return { ...(info as FeedInfo), nodes, missing: answers.missing };
  }

  private subscribedHere(range: IdRange): SubscribedFeeds {
    const found = new FirstIds(range);
    for (const id of this.router.feeds()) found.add(id);
    return found.first.map((id) => [id, this.router.topic(id)?.size ?? 0]);
  }

  private async storedIds(range: IdRange) {
    return this.broker.storedIds?.(range).catch(throwFeedException);
  }

  private async describe(ids: readonly string[], { answers }: Answers<SubscribedFeeds>): Promise<FeedInfo[]> {
    const stored = ids.length === 0 ? [] : await this.broker.measure?.(ids).catch(throwFeedException);
    const subscribers = new Map<string, number>();
    for (const { value } of answers) for (const [id, some] of value) subscribers.set(id, (subscribers.get(id) ?? 0) + some);
    const now = Date.now();
    return ids.map((id, n) => ({ id, subscribers: subscribers.get(id) ?? 0, ...(stored && historyOf(stored[n], now)) }));
  }
}

function subscribersOf(feed: string, feeds: SubscribedFeeds): number {
  return feeds.find(([id]) => id === feed)?.[1] ?? 0;
}

function historyOf(stored: StoredFeed | undefined, now: number): Partial<FeedInfo> {
  if (!stored) return { historyLength: 0, historyBytes: 0 };
  const { length, bytes, newestAt, end } = stored;
  return { historyLength: length, historyBytes: bytes, ageMs: Math.max(0, now - newestAt), ...(end && { ended: end }) };
}
