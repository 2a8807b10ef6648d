import { type Observable, Subject } from 'rxjs';
import type { LostConnection, SharedEvent } from '../cluster/presence/presence-events.js';
import type { EndReason } from '../stats/end-reason.js';
import type { FeedEvent } from '../stats/events.js';
import { connectionId } from './connection-id.js';

/** Where events come from. */
interface EventSource {
  /** The name of this node. */
  readonly nodeName: string;
  /** Identifies this process. */
  readonly process: string;
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

  opened(number: number, feeds: readonly string[], subject: string | undefined): void {
    if (this.events.observed) this.events.next({ type: 'opened', ...this.about(number, feeds, subject) });
  }

  closed(number: number, feeds: readonly string[], subject: string | undefined, reason: EndReason, durationMs: number): void {
    if (this.events.observed) this.events.next({ type: 'closed', ...this.about(number, feeds, subject), reason, durationMs });
  }

  followed(feed: string, hasSubscribers: boolean): void {
    if (!this.events.observed) return;
    this.events.next({ type: hasSubscribers ? 'followed' : 'unfollowed', ...this.stamp(), node: this.source.nodeName, feed });
  }

  /** Tells an event of all nodes. */
  tell(event: SharedEvent, isRepeated: boolean): void {
    (isRepeated ? this.repeated : this.events).next(event.type === 'lost' ? endOf(event) : event);
  }

  private about(number: number, feeds: readonly string[], subject: string | undefined) {
    const { nodeName: node, process } = this.source;
    return { ...this.stamp(), node, process, connection: connectionId(node, number), feeds, ...(subject !== undefined && { subject }) };
  }

  private stamp(): { id: string; time: number } {
    this.made += 1;
    return { id: `${this.source.process}-${this.made}`, time: Date.now() };
  }
}

/** The end of a connection whose node is lost. */
function endOf({ id, time, process, node, number, member }: LostConnection): FeedEvent {
  const { feeds, subject, since } = member;
  const about = { id, time, node, process, connection: connectionId(node, number), feeds, ...(subject !== undefined && { subject }) };
  return { type: 'closed', ...about, reason: 'lost', durationMs: Math.max(0, time - since * 1000) };
}
