import * as v from 'valibot';

/** The rule for the name of a node. */
export const nodeNameForm = /^[\x21-\x7e]{1,100}$/;

/** The longest id of a process, in characters: that of this version has 36. */
const longestId = 64;

const node = {
  /** Identifies the process, also where several nodes have the same name. */
  id: v.pipe(v.string(), v.regex(/^[\w-]+$/), v.maxLength(longestId)),
  node: v.pipe(v.string(), v.regex(nodeNameForm)),
};
const nodeMessage = v.looseObject(node);

/** The heartbeat of a node. */
export function heartbeatOf(id: string, node: string): string {
  return JSON.stringify({ id, node });
}

/** What a node says to others: who it is, and what listeners know by the kind of message. */
export type NodeMessage = v.InferOutput<typeof nodeMessage>;

/** @returns undefined where the text is no message of a node: any program that can reach the server can publish there */
export function parseNodeMessage(text: string): NodeMessage | undefined {
  const { success, output } = v.safeParse(v.pipe(v.string(), v.parseJson(), nodeMessage), text);
  return success ? output : undefined;
}

/**
 * Those of the nodes that have been heard, as one tells that calls the roll, that are not known.
 *
 * @param isKnown takes those that are known, which need no look at their form
 */
export function unknownIn({ present }: NodeMessage, isKnown: (id: unknown) => boolean): { id: string; node: string }[] {
  if (!Array.isArray(present)) return [];
  return present.flatMap((one) => {
    if (isKnown(one?.id)) return [];
    const { success, output } = v.safeParse(nodeMessage, one);
    return success ? output : [];
  });
}
