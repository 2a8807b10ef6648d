import { randomUUID } from 'node:crypto';
import type { PresenceLedger } from './presence-ledger.js';
import type { PresenceKind, Told } from './presence-message.js';
import type { Telling } from './presence-telling.js';

/** How many characters of JSON a message has, more or less. */
export const longestMessage = 48_000;

/** What a node says to all, itself included. */
export interface Said {
  readonly kind: PresenceKind;
  readonly content: object;
}

const itself = (feed: string) => feed;

/** That nothing has been told so far. */
export function beginningBy(teller: string): Said {
  return { kind: 'state', content: { term: randomUUID(), version: 0, teller, begins: true } };
}

/** All that has been told. */
export function statesOf(telling: Telling | undefined): Said[] {
  const parts = telling ? partsOf([...telling.feeds], itself) : [];
  return parts.map((feeds, n) => ({ kind: 'state', content: { ...telling, begins: n === 0, more: n < parts.length - 1, feeds } }));
}

/** That something else was told of feeds. */
export function forksOf(forks: ReadonlySet<string>): Said[] {
  if (forks.size === 0) return [];
  return partsOf([...forks], itself).map((feeds) => ({ kind: 'fork', content: { feeds } }));
}

/** What is other than what has been told, or a part of it; undefined where nothing is. */
export function toldOf(ledger: PresenceLedger, term: string): Omit<Told, 'id' | 'node'> | undefined {
  const { telling, untold } = ledger;
  if (!telling || untold.size === 0) return undefined;
  const [some = []] = partsOf([...untold], itself);
  const occupied = some.filter((feed) => ledger.followers(feed) > 0);
  const vacated = some.filter((feed) => ledger.followers(feed) === 0);
  return { term, version: telling.version + 1, after: telling.term, occupied, vacated, time: Date.now() };
}

/** Parts of what is to be said, each of which fits into a message; at least one. */
export function partsOf<Entry, Said>(entries: readonly Entry[], say: (entry: Entry) => Said): Said[][] {
  let part: Said[] = [];
  const parts = [part];
  let length = 0;
  for (const entry of entries) {
    const said = say(entry);
    if (length > longestMessage) {
      part = [];
      parts.push(part);
      length = 0;
    }
    part.push(said);
    length += JSON.stringify(said).length;
  }
  return parts;
}
