import type { History } from '../broker/broker.js';
import type { StoredMessage } from '../message/message.js';
import type { Position } from '../message/position.js';

/** The part of a replay that is of one feed: its page, and how far it has been read. */
export class FeedReplay {
  private messages: readonly StoredMessage[] = [];
  private taken = 0;
  /** Bytes of the text that were read and not taken. */
  waitingBytes = 0;
  /** The position before the first message of the page. */
  after!: Position;
  end = 0;
  hasMore = false;
  /** Where messages before the page are lost: the id of the first that is stored, or null. */
  reset: string | null | undefined = undefined;
  /** Whether the feed has ended. */
  isEnded = false;
  /** What the next page may have. */
  pageBytes: number;

  constructor(
    readonly feed: string,
    limitBytes: number,
  ) {
    this.pageBytes = limitBytes;
  }

  get next(): StoredMessage | undefined {
    return this.messages[this.taken];
  }

  /** Whether the feed has ended before the position from which on it is read: there is nothing to send of it, now or later. */
  get isEndedBefore(): boolean {
    return this.isEnded && this.next === undefined && !this.hasMore && this.reset === undefined;
  }

  /** Takes the next message; returns its bytes. */
  take(): number {
    const bytes = bytesOf(this.next as StoredMessage);
    this.waitingBytes -= bytes;
    this.taken += 1;
    return bytes;
  }

  /** Keeps as much of a page as there is room for; the rest is read again when its turn comes. */
  load({ messages, after, end, hasMore, isReset, isEnded }: History, limitBytes: number, room: number): void {
    let bytes = 0;
    let count = 0;
    for (const message of messages) {
      const size = bytesOf(message);
      if (bytes + size > room) break;
      bytes += size;
      count += 1;
    }
    this.messages = messages;
    this.taken = 0;
    this.waitingBytes = bytes;
    this.after = after;
    this.reset = isReset ? (messages[0]?.id ?? null) : undefined;
    this.end = end;
    this.hasMore = hasMore;
    this.isEnded = isEnded;
    this.pageBytes = limitBytes;
    if (count < messages.length) this.dropFrom(count);
  }

  /** Drops the rest of the page, which is read again when its turn comes. */
  drop(): void {
    this.dropFrom(this.taken);
    this.waitingBytes = 0;
  }

  private dropFrom(index: number): void {
    const first = this.messages[index] as StoredMessage;
    this.messages = this.messages.slice(0, index);
    this.end = first.offset - 1;
    this.hasMore = true;
    this.pageBytes = Math.max(this.pageBytes, bytesOf(first));
  }
}

function bytesOf({ text }: StoredMessage): number {
  return Buffer.byteLength(text);
}
