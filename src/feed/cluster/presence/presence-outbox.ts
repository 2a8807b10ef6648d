import { randomUUID } from 'node:crypto';
import type { AnnouncedFeeds } from './announcements.js';
import type { OwnRoster } from './own-roster.js';
import type { PresenceLedger } from './presence-ledger.js';
import { type Announcement, type PresenceKind, partsOf } from './presence-messages.js';

/** What a node sends to all, itself included. */
export interface OutgoingMessage {
  readonly kind: PresenceKind;
  readonly content: object;
}

/** An announcement without its sender. */
export type OwnAnnouncement = Omit<Announcement, 'id' | 'node'>;

/** What a node has to send of its connections and of the announced state, one message after the other. */
export class PresenceOutbox {
  /** All connections of this node are sent again. */
  mustBegin = true;
  mustState = false;
  mustFork = false;
  /** The changes of this node are sent. */
  hasBatch = false;
  /** The rest of what is sent in several messages. */
  private outgoing: OutgoingMessage[] = [];

  constructor(
    private readonly own: OwnRoster,
    private readonly ledger: PresenceLedger,
  ) {}

  next(): OutgoingMessage | undefined {
    if (this.mustBegin) {
      this.mustBegin = false;
      this.keep(this.outgoing);
      this.outgoing = this.own.everything().map((content) => ({ kind: 'changes', content }));
    }
    if (this.mustState && this.outgoing.length === 0) {
      this.mustState = false;
      this.outgoing = statesOf(this.ledger.announced);
    }
    if (this.mustFork && this.outgoing.length === 0) {
      this.mustFork = false;
      this.outgoing = forksOf(this.ledger.forks);
    }
    const message = this.outgoing.shift();
    if (message) return message;
    if (this.hasBatch && this.own.hasChanges) return { kind: 'changes', content: this.own.changes() };
    this.hasBatch = false;
    return undefined;
  }

  /** A message may have been stored or not, so everything is sent again. */
  failed(message: OutgoingMessage | undefined): void {
    this.mustBegin = true;
    if (message) this.keep([message]);
  }

  private keep(all: readonly OutgoingMessage[]): void {
    this.mustState ||= all.some(({ kind }) => kind === 'state');
    this.mustFork ||= all.some(({ kind }) => kind === 'fork');
  }
}

const itself = (feed: string) => feed;

/** The state before the first announcement. */
export function firstState(announcer: string): OutgoingMessage {
  return { kind: 'state', content: { term: randomUUID(), version: 0, teller: announcer, begins: true } };
}

function statesOf(announced: AnnouncedFeeds | undefined): OutgoingMessage[] {
  if (!announced) return [];
  const { term, version, announcer: teller, past } = announced;
  const parts = partsOf([...announced.feeds], itself);
  return parts.map((feeds, n) => ({
    kind: 'state',
    content: { term, version, teller, past, begins: n === 0, more: n < parts.length - 1, feeds },
  }));
}

function forksOf(forks: ReadonlySet<string>): OutgoingMessage[] {
  if (forks.size === 0) return [];
  return partsOf([...forks], itself).map((feeds) => ({ kind: 'fork', content: { feeds } }));
}

/** The next announcement, with as many changes as fit; undefined where there are none. */
export function announcementOf(ledger: PresenceLedger, term: string): OwnAnnouncement | undefined {
  const { announced, unannounced } = ledger;
  if (!announced || unannounced.size === 0) return undefined;
  const [some = []] = partsOf([...unannounced], itself);
  const occupied = some.filter((feed) => ledger.connections(feed) > 0);
  const vacated = some.filter((feed) => ledger.connections(feed) === 0);
  return { term, version: announced.version + 1, after: announced.term, occupied, vacated, time: Date.now() };
}
