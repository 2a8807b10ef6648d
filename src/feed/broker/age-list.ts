import type { StoredMessage } from '../message/message.js';
import type { FeedBounds } from './broker.js';

/** A message in its feed's log, and in a list by age. */
export interface Entry {
  readonly message: StoredMessage;
  readonly bytes: number;
  readonly log: FeedLog;
  /** The next message of the same feed. */
  next: Entry | undefined;
  /** The list that it is in, and its neighbours there. */
  list: AgeList;
  older: Entry | undefined;
  newer: Entry | undefined;
}

/** The messages of one feed. A feed without messages has none. */
export interface FeedLog {
  readonly feed: string;
  readonly bounds: FeedBounds;
  /** Where its messages are by age. */
  readonly list: AgeList;
  first: Entry | undefined;
  last: Entry | undefined;
  length: number;
  bytes: number;
  /** The offset up to which messages have been trimmed, and the time up to which those were stored. */
  trimmed: number;
  trimmedTime: number;
}

/** Messages of all feeds with the same time to live, by age: they expire in the order in which they were appended. */
export class AgeList {
  oldest: Entry | undefined = undefined;
  private newest: Entry | undefined = undefined;
  /** The timer of the next expiry. */
  expiry: NodeJS.Timeout | undefined = undefined;
  /** The offset up to which messages may have expired that this process never had, and when it learnt that. */
  missed = 0;
  missedTime = 0;

  /**
   * @param ttlMs how long its messages are stored, in milliseconds
   * @param kept where those go that are older and stay, because they are the newest of their feeds
   */
  constructor(
    readonly ttlMs: number,
    readonly kept?: AgeList,
  ) {}

  /** Appends an entry that is younger than any before. */
  append(entry: Entry): void {
    entry.list = this;
    entry.older = this.newest;
    if (this.newest) this.newest.newer = entry;
    else this.oldest = entry;
    this.newest = entry;
  }

  remove(entry: Entry): void {
    const { older, newer } = entry;
    if (older) older.newer = newer;
    else this.oldest = newer;
    if (newer) newer.older = older;
    else this.newest = older;
    // A removed entry must not refer to the others: V8 would move each new entry to its old generation because a dead one there refers to it.
    entry.older = undefined;
    entry.newer = undefined;
  }

  clear(): void {
    clearTimeout(this.expiry);
    this.expiry = undefined;
    this.oldest = undefined;
    this.newest = undefined;
  }
}
