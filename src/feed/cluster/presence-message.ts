import * as v from 'valibot';

/** The longest subject of a token that is told to other nodes, in characters: what is longer is cut. */
export const longestSubject = 1000;
/** How many entries a message has at most. */
const mostEntries = 10_000;
/** How many tellings there may have been. */
const mostVersions = 2 ** 52;
/** How many feeds a connection may have. */
const mostFeeds = 10_000;

const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const id = v.pipe(v.string(), v.maxLength(64));
const feed = v.pipe(v.string(), v.maxLength(300));
const feeds = v.optional(v.pipe(v.array(feed), v.maxLength(mostEntries)), []);
const flag = v.optional(v.boolean(), false);

/** What every message has: which process says it. */
const sender = { id, node: v.pipe(v.string(), v.maxLength(100)) };

const join = v.looseTuple([
  whole,
  v.pipe(v.array(feed), v.maxLength(mostFeeds)),
  whole,
  v.optional(v.pipe(v.string(), v.maxLength(longestSubject))),
]);

/** Who has come to a node, and gone, since its last message; or from scratch. */
const changes = v.object({
  ...sender,
  seq: whole,
  /** Whether what was said before counts no more: from here on comes everything there is. */
  begins: flag,
  /** Whether that goes on in the next message. */
  more: flag,
  joins: v.optional(v.pipe(v.array(join), v.maxLength(mostEntries)), []),
  leaves: v.optional(v.pipe(v.array(whole), v.maxLength(mostEntries)), []),
});

/** A node is gone, and has said nothing after a message: a later one makes this void. */
const gone = v.object({ ...sender, of: id, seq: whole, isLost: v.boolean() });

const telling = { ...sender, term: id, version: whole };

/** Feeds are occupied, or vacated, and the sender tells that. It is void unless the telling before it, of the term `after`, is the newest one. */
const told = v.object({ ...telling, after: id, occupied: feeds, vacated: feeds, time: v.number() });

const past = v.optional(v.pipe(v.array(v.strictTuple([id, whole])), v.maxLength(100)), []);

/** Which feeds have been told as occupied. Behind the highest version, there is room for the next ones. */
const state = v.object({ ...telling, version: v.pipe(whole, v.maxValue(mostVersions)), teller: id, past, begins: flag, more: flag, feeds });

/** Some have told another thing of these feeds, in tellings that count no more: the server was split. */
const fork = v.object({ ...sender, feeds });

/** All nodes are asked for everything. */
const ask = v.object(sender);

export const presenceMessages = { changes, gone, told, state, fork, ask };

export type PresenceKind = keyof typeof presenceMessages;
export type Changes = v.InferOutput<typeof changes>;
export type Gone = v.InferOutput<typeof gone>;
export type Told = v.InferOutput<typeof told>;
export type Fork = v.InferOutput<typeof fork>;
export type State = v.InferOutput<typeof state>;

/** @returns undefined where this is no message of that kind: any program that can reach the server can publish there */
export function parsePresence<Kind extends PresenceKind>(
  kind: Kind,
  text: string,
): v.InferOutput<(typeof presenceMessages)[Kind]> | undefined {
  const { success, output } = v.safeParse(v.pipe(v.string(), v.parseJson(), presenceMessages[kind] as v.GenericSchema), text);
  return success ? (output as v.InferOutput<(typeof presenceMessages)[Kind]>) : undefined;
}
