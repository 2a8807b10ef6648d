import * as v from 'valibot';
import { addedCounts, type FeedCounts, rejectReasons } from '../stats/counts.js';
import { endReasons } from '../stats/end-reason.js';

/** The name of a node and the counts of its connections. */
export interface NodeCounts extends FeedCounts {
  name: string;
}

/** The rule for the name of a node. */
export const nodeNameForm = /^[\x21-\x7e]{1,100}$/;

/** The longest id of a process, in characters: that of this version has 36. */
const longestId = 64;

const number = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** A node of another version may not have every count. */
const count = v.optional(number, 0);

const announcement = v.object({
  /** Identifies the process, also where several nodes have the same name. */
  id: v.pipe(v.string(), v.maxLength(longestId)),
  /** Missing from a node that leaves. */
  node: v.optional(
    v.object({
      name: v.pipe(v.string(), v.regex(nodeNameForm)),
      ...v.entriesFromList(addedCounts, count),
      rejectedBy: v.optional(v.object(v.entriesFromList(rejectReasons, count)), {}),
      closed: v.optional(v.object(v.entriesFromList(endReasons, count)), {}),
      limit: v.optional(v.nullable(number), null),
    }),
  ),
});

/** What a node tells the others. */
export type Announcement = v.InferOutput<typeof announcement>;

/** @returns undefined where the text is not an announcement: any program that can reach the server can publish there */
export function parseAnnouncement(text: string): Announcement | undefined {
  const { success, output } = v.safeParse(v.pipe(v.string(), v.parseJson(), announcement), text);
  return success ? output : undefined;
}
