import type { History } from '../broker/broker.js';
import type { StoredMessage } from '../message/message.js';
import type { Position } from '../message/position.js';

/** How far one feed of a replay has been read. */
export class ReplayCursor {
  private messages: readonly StoredMessage[] = [];
  private taken = 0;
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
  get isOver(): boolean {
    return this.isEnded && this.next === undefined && !this.hasMore && this.reset === undefined;
  }

  take(): void {
    this.taken += 1;
  }

  get waitingBytes(): number {
    return this.messages.slice(this.taken).reduce((sum, { text }) => sum + text.length, 0);
  }

  /**
   * Keeps as much of a page as there is room for; the rest is read again when its turn comes.
   *
   * @returns the bytes that it keeps
   */
  load({ messages, after, end, hasMore, isReset, isEnded }: History, limitBytes: number, room: number): number {
    let bytes = 0;
    let count = 0;
    for (const { text } of messages) {
      if (bytes + text.length > room) break;
      bytes += text.length;
      count += 1;
    }
    this.messages = messages;
    this.taken = 0;
    this.after = after;
    this.reset = isReset ? (messages[0]?.id ?? null) : undefined;
    this.end = end;
    this.hasMore = hasMore;
    this.isEnded = isEnded;
    this.pageBytes = limitBytes;
    if (count < messages.length) this.dropFrom(count);
    return bytes;
  }

  /** Drops the rest of the page, which is read again when its turn comes. */
  drop(): void {
    this.dropFrom(this.taken);
  }

  private dropFrom(index: number): void {
    const { offset, text } = this.messages[index] as StoredMessage;
    this.messages = this.messages.slice(0, index);
    this.end = offset - 1;
    this.hasMore = true;
    this.pageBytes = Math.max(this.pageBytes, text.length);
  }
}
