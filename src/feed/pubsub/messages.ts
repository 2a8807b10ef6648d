import { setTimeout as sleep } from 'node:timers/promises';
import { Observable } from 'rxjs';
import { BrokerUnavailableError } from '../errors/broker.errors.js';
import { isEnd } from '../message/end.js';
import { type FeedMessage, type StoredMessage, type TextMessage, toFeedMessage } from '../message/message.js';
import type { Start } from '../message/position.js';
import { backoff } from '../time/backoff.js';
import type { Replay } from './replay.js';
import { Mark, type ReplayItem } from './replay-item.js';
import type { Router } from './router.js';
import type { Subscriber } from './topic.js';

/** The delays before an unavailable broker is asked again. */
const retryDelays = { minMs: 150, maxMs: 3000 };

/** The messages of a feed as an Observable, from a start on, until the feed ends. While the broker is unavailable, it waits. */
export function messagesOf(router: Router, feed: string, since: Start | undefined): Observable<FeedMessage> {
  return new Observable<FeedMessage>((observer) => {
    let waiting: (StoredMessage | TextMessage)[] | undefined = [];
    let from = since;
    const send = (item: ReplayItem) => {
      if (item instanceof Mark) return;
      if ('offset' in item) from = { epoch: item.epoch, offset: item.offset };
      observer.next(toFeedMessage(item));
      if (isEnd(item)) observer.complete();
    };
    const deliver = (message: StoredMessage | TextMessage) => {
      if (waiting) waiting.push(message);
      else send(message);
    };
    const subscriber: Subscriber = { deliver, deliverNewest: deliver, deliverEnd: deliver };

    /** Sends what the broker has; returns the offset up to which that is all. */
    const sendStored = async (): Promise<number> => {
      const start = from;
      const startOf = () => start;
      const replay: Replay = await router.subscribe(subscriber, [feed], startOf);
      await router.addSnapshots(replay, startOf);
      if (replay.endedFeeds.length > 0) observer.complete();
      while (!replay.isDone && !observer.closed) {
        for (let item = replay.take(); item; item = replay.take()) send(item);
        if (replay.needsRead) await replay.read();
      }
      return replay.end;
    };
    const replay = async () => {
      let end: number | undefined;
      for (let attempt = 0; end === undefined && !observer.closed; attempt += 1) {
        try {
          end = await sendStored();
        } catch (error) {
          if (!(error instanceof BrokerUnavailableError)) throw error;
          if (observer.closed) return;
          if (from === undefined && !router.replays(feed)) {
            await router.subscribeLive(subscriber, [feed]);
            end = 0;
          } else await sleep(backoff(attempt, retryDelays), undefined, { ref: false });
        }
      }
      // What a subscriber publishes itself, in response, comes behind.
      for (const message of waiting ?? []) if (!('offset' in message && message.offset <= (end ?? 0))) send(message);
      waiting = undefined;
    };
    replay().catch((error) => observer.error(error));
    return () => router.unsubscribe(subscriber, feed);
  });
}
