import { Observable } from 'rxjs';
import type { Start } from '../broker/broker.js';
import { type FeedMessage, Notice, type PublishedMessage } from '../message/message.js';
import { Mark } from './replay.js';
import type { Router } from './router.js';
import type { Follower } from './topic.js';

/** A feed's messages as an Observable, from a start on. */
export function messagesOf(router: Router, feed: string, since: Start | undefined): Observable<FeedMessage> {
  return new Observable<FeedMessage>((subscriber) => {
    let held: (PublishedMessage | Notice)[] | undefined = [];
    const next = (message: PublishedMessage | Notice) => {
      if (held) held.push(message);
      else subscriber.next(message);
    };
    const follower: Follower = { next, latest: next };
    router.follow(follower, [feed], since).then(
      ({ items, covered }) => {
        for (const item of items) if (!(item instanceof Mark)) subscriber.next(item);
        // What a subscriber publishes itself, in answer, comes behind.
        for (const message of held ?? [])
          if (message instanceof Notice || message.offset > (covered.get(feed) ?? -1)) subscriber.next(message);
        held = undefined;
      },
      (error) => subscriber.error(error),
    );
    return () => router.unfollow(follower, feed);
  });
}
