import { type Observable, Subject } from 'rxjs';
import type { EndReason } from '../stats/end-reason.js';
import type { FeedEvent } from '../stats/events.js';

/** Where events come from. */
interface EventSource {
  /** The name of this node. */
  readonly nodeName: string;
  /** Identifies this process. */
  readonly process: string;
}

/** A connection, as events have it. */
interface Told {
  readonly number: number;
  readonly feeds: readonly string[];
  readonly subject: string | undefined;
}

/** Emits what happens to connections and feeds. Without a listener, no event is made. */
export class FeedEvents {
  private readonly events = new Subject<FeedEvent>();
  readonly events$: Observable<FeedEvent> = this.events.asObservable();
  private readonly repeated = new Subject<FeedEvent>();
  /** What another node has told that may not have arrived where it was sent to. */
  readonly repeatedEvents$: Observable<FeedEvent> = this.repeated.asObservable();
  private made = 0;

  constructor(private readonly source: EventSource) {}

  opened(connection: Told): void {
    if (this.events.observed) this.events.next({ type: 'opened', ...this.about(connection) });
  }

  closed(connection: Told, reason: EndReason, durationMs: number): void {
    if (this.events.observed) this.events.next({ type: 'closed', ...this.about(connection), reason, durationMs });
  }

  followed(feed: string, hasSubscribers: boolean): void {
    if (!this.events.observed) return;
    this.events.next({ type: hasSubscribers ? 'followed' : 'unfollowed', ...this.stamp(), node: this.source.nodeName, feed });
  }

  /** Tells an event of all nodes. */
  tell(event: FeedEvent, isRepeated: boolean): void {
    (isRepeated ? this.repeated : this.events).next(event);
  }

  private about({ number, feeds, subject }: Told) {
    const { nodeName: node, process } = this.source;
    return { ...this.stamp(), node, process, connection: `${node}-${number}`, feeds, ...(subject !== undefined && { subject }) };
  }

  private stamp(): { id: string; time: number } {
    this.made += 1;
    return { id: `${this.source.process}-${this.made}`, time: Date.now() };
  }
}
