import { Observable } from 'rxjs';
import { type FeedMessage, type StoredMessage, type TextMessage, toFeedMessage } from '../message/message.js';
import type { Start } from '../message/position.js';
import { Mark, type ReplayItem } from './replay.js';
import type { Router } from './router.js';
import type { Subscriber } from './topic.js';

/** The messages of a feed as an Observable, from a start on. */
export function messagesOf(router: Router, feed: string, since: Start | undefined): Observable<FeedMessage> {
  return new Observable<FeedMessage>((observer) => {
    let waiting: (StoredMessage | TextMessage)[] | undefined = [];
    const send = (item: ReplayItem) => {
      if (!(item instanceof Mark)) observer.next(toFeedMessage(item));
    };
    const deliver = (message: StoredMessage | TextMessage) => {
      if (waiting) waiting.push(message);
      else send(message);
    };
    const subscriber: Subscriber = { deliver, deliverNewest: deliver };
    const replay = async () => {
      const replay = await router.subscribe(subscriber, [feed], since);
      while (!replay.isDone && !observer.closed) {
        for (let item = replay.take(); item; item = replay.take()) send(item);
        if (replay.needsRead) await replay.read();
      }
      // What a subscriber publishes itself, in response, comes behind.
      for (const message of waiting ?? []) if (!('offset' in message && message.offset <= replay.end)) send(message);
      waiting = undefined;
    };
    replay().catch((error) => observer.error(error));
    return () => router.unsubscribe(subscriber, feed);
  });
}
