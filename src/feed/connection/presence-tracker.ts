import type { Member } from '../cluster/presence/presence-ledger.js';
import { isOwnFeed } from '../message/feed-id.js';
import type { RuleSet } from '../pubsub/rules.js';
import type { Connection } from './connection.js';
import { Poll } from './poll.js';
import type { ConnectionTracker } from './registry.js';

/** Notes which connections follow feeds whose presence is told. A poll is none of them: it ends with each answer. */
export class PresenceTracker implements ConnectionTracker {
  /**
   * @param isDefault whether the presence of feeds is told of which no rule says it
   * @param note told what a connection follows of these feeds; undefined for nothing
   */
  constructor(
    private readonly rules: RuleSet,
    private readonly isDefault: boolean,
    private readonly note: (number: number, member: Member | undefined) => void,
  ) {}

  onChanged(connection: Connection, hasEnded: boolean): void {
    if (connection instanceof Poll) return;
    const { number, client, durationMs } = connection;
    const feeds = hasEnded ? [] : connection.feeds.filter((feed) => this.isTold(feed));
    const since = Math.round((Date.now() - durationMs) / 1000);
    this.note(number, feeds.length > 0 ? { feeds, since, subject: client.subject } : undefined);
  }

  private isTold(feed: string): boolean {
    return !isOwnFeed(feed) && (this.rules.of(feed)?.presence ?? this.isDefault);
  }
}
