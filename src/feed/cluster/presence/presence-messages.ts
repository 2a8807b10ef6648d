import * as v from 'valibot';

/** The longest subject of a token that other nodes receive, in characters. A longer one is cut. */
export const longestSubject = 1000;
/** How many characters of JSON a message has, approximately. */
export const longestMessage = 48_000;
/** How many entries a message has at most. */
const mostEntries = 10_000;
/** The highest version of a state. */
const mostVersions = 2 ** 52;
/** How many feeds a connection may have. */
const mostFeeds = 10_000;

const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const id = v.pipe(v.string(), v.maxLength(64));
const feed = v.pipe(v.string(), v.maxLength(300));
const feeds = v.optional(v.pipe(v.array(feed), v.maxLength(mostEntries)), []);
const flag = v.optional(v.boolean(), false);

/** The process that sends a message. Every message has it. */
const sender = { id, node: v.pipe(v.string(), v.maxLength(100)) };

const join = v.looseTuple([
  whole,
  v.pipe(v.array(feed), v.maxLength(mostFeeds)),
  whole,
  v.optional(v.pipe(v.string(), v.maxLength(longestSubject))),
]);

/** The connections that a node has opened and closed since its last message, or all of them. */
const changes = v.object({
  ...sender,
  seq: whole,
  /** Whether this message begins a list of all connections, which replaces what was sent before. */
  begins: flag,
  /** Whether the list continues in the next message. */
  more: flag,
  joins: v.optional(v.pipe(v.array(join), v.maxLength(mostEntries)), []),
  leaves: v.optional(v.pipe(v.array(whole), v.maxLength(mostEntries)), []),
});

/** A node has left or is lost, and `seq` is its last message. A later message of that node makes this one void. */
const gone = v.object({ ...sender, of: id, seq: whole, isLost: v.boolean() });

const versioned = { ...sender, term: id, version: whole };

/** An announcement: feeds are occupied, or vacated. It is void unless the announcement before it, of the term `after`, is the newest one. */
const told = v.object({ ...versioned, after: id, occupied: feeds, vacated: feeds, time: v.number() });

const past = v.optional(v.pipe(v.array(v.strictTuple([id, whole])), v.maxLength(100)), []);

/** The feeds that have been announced as occupied. The bound on `version` leaves room for the next versions. */
const state = v.object({
  ...versioned,
  version: v.pipe(whole, v.maxValue(mostVersions)),
  teller: id,
  past,
  begins: flag,
  more: flag,
  feeds,
});

/** The feeds on which void announcements differ from the valid ones: the engine was split. */
const fork = v.object({ ...sender, feeds });

/** A request to all nodes to send their state. */
const ask = v.object(sender);

const messages = { changes, gone, told, state, fork, ask };

export type PresenceKind = keyof typeof messages;
export type RosterChanges = v.InferOutput<typeof changes>;
export type Removal = v.InferOutput<typeof gone>;
export type Announcement = v.InferOutput<typeof told>;
export type AnnouncedState = v.InferOutput<typeof state>;
export type Fork = v.InferOutput<typeof fork>;

/** @returns undefined where this is not a message of that kind: any program with access to the engine can publish there */
export function parsePresence<Kind extends PresenceKind>(kind: Kind, text: string): v.InferOutput<(typeof messages)[Kind]> | undefined {
  const { success, output } = v.safeParse(v.pipe(v.string(), v.parseJson(), messages[kind] as v.GenericSchema), text);
  return success ? (output as v.InferOutput<(typeof messages)[Kind]>) : undefined;
}

/** Splits entries into parts that fit into a message each. There is at least one part. */
export function partsOf<Entry, Item>(entries: readonly Entry[], toItem: (entry: Entry) => Item): Item[][] {
  let part: Item[] = [];
  const parts = [part];
  let length = 0;
  for (const entry of entries) {
    const item = toItem(entry);
    if (length > longestMessage) {
      part = [];
      parts.push(part);
      length = 0;
    }
    part.push(item);
    length += JSON.stringify(item).length;
  }
  return parts;
}
