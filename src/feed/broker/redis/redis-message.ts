import { isContent } from '../../message/content.js';
import { type Content, type StoredMessage, storedMessage } from '../../message/message.js';
import type { Position } from '../../message/position.js';
import { withTrace } from '../../message/trace.js';

/**
 * A message as it is announced and stored: a line with its epoch, its offset, the offset of the feed's message before it, whether that is
 * exact (1) or an upper bound (0), the bytes of the feed's messages before it, its kind (`j` JSON, `t` text; `c` is no message, and tells that
 * the feed was cleared), and its trace where it has one; a line with its type; its text.
 */
export interface Announcement extends Position {
  readonly feed: string;
  /** Undefined where no node can have published it. */
  readonly message: StoredMessage | undefined;
  readonly previous: number;
  readonly isExact: boolean;
  /** Whether it tells, in the place of a message, that the feed was cleared. */
  readonly isClear: boolean;
}

const headForm = /^([a-z0-9]{1,32}) (\d{1,16}) (\d{1,16}) ([01]) \d+ ([jtc])(?: (.+))?$/;

/** The end of a message's first line. */
export function kindOf({ isJson, trace }: Content): string {
  const kind = isJson ? 'j' : 't';
  return trace === undefined ? kind : `${kind} ${trace}`;
}

/**
 * @param current the epoch that the message gets; default: the one in which it was published, which is a past one after a restart of Redis
 * @returns undefined for what another program has published or stored there
 */
export function parse(feed: string, announced: string, current?: string): Announcement | undefined {
  const headEnd = announced.indexOf('\n');
  const typeEnd = announced.indexOf('\n', headEnd + 1);
  const [, published, digits, previous, isExact, kind, trace] = headForm.exec(announced.slice(0, headEnd)) ?? [];
  if (published === undefined || typeEnd < 0) return undefined;
  const epoch = current ?? published;
  const offset = Number(digits);
  const type = announced.slice(headEnd + 1, typeEnd) || undefined;
  const content = withTrace({ type, text: announced.slice(typeEnd + 1), isJson: kind === 'j' }, trace);
  const isClear = kind === 'c';
  const message = !isClear && isContent(content) ? messageOf(feed, epoch, offset, content) : undefined;
  return { feed, epoch, offset, message, previous: Number(previous), isExact: isExact === '1', isClear };
}

/** Offsets are microseconds since 1970, and so tell the message's time. */
export function messageOf(feed: string, epoch: string, offset: number, content: Content): StoredMessage {
  return storedMessage(feed, epoch, offset, Math.floor(offset / 1000), content);
}
