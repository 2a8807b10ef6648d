import * as v from 'valibot';

/** About how many names are read with one command. */
const readAtOnce = 1000;
const memberForm = v.pipe(v.string(), v.parseJson(), v.string());

/** Forgets the names whose time is over, by the clock of Redis. */
const forget = `
local clock = redis.call('TIME')
redis.pcall('ZREMRANGEBYSCORE', KEYS[2], '-inf', clock[1] * 1000 + math.floor(clock[2] / 1000))
`;

/**
 * Names that are remembered are in a sorted set of their own, each with the time until then as its score, in milliseconds since 1970.
 *
 * KEYS: state, names. ARGV: (an epoch), time, member.
 */
export const remember = `${forget}
redis.call('ZADD', KEYS[2], 'GT', ARGV[2], ARGV[3])
`;

/**
 * Reads some of them: a name that is there all the time is read once or more, whatever is added or forgotten meanwhile.
 *
 * KEYS: state, names. ARGV: (an epoch), cursor. Returns the next cursor, and members with their times.
 */
export const remembered = `
if ARGV[2] == '0' then ${forget} end
return redis.call('ZSCAN', KEYS[2], ARGV[2], 'COUNT', ${readAtOnce})
`;

/** What the second script replies. */
export type ScanReply = [cursor: string, membersAndTimes: string[]];

/** Redis gets a name as JSON: half a surrogate pair has no form in UTF-8. */
export function memberOf(name: string): string {
  return JSON.stringify(name);
}

/** Undefined for what another program has added. */
function nameOf(member: string): string | undefined {
  const { success, output } = v.safeParse(memberForm, member);
  return success ? output : undefined;
}

/**
 * Reads all names that are remembered still, with their times.
 *
 * @param scan runs the second script
 */
export async function namesOf(scan: (cursor: string) => Promise<ScanReply>): Promise<Map<string, number>> {
  const names = new Map<string, number>();
  let cursor = '0';
  do {
    const [next, reply] = await scan(cursor);
    const now = Date.now();
    for (let n = 0; n < reply.length; n += 2) {
      const until = Number(reply[n + 1]);
      const name = until > now ? nameOf(reply[n] as string) : undefined;
      if (name !== undefined) names.set(name, until);
    }
    cursor = next;
  } while (cursor !== '0');
  return names;
}
