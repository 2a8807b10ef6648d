import type { Line } from '../peer.js';
import type { Publication, Publications } from './publications.js';
import type { Session } from './session.js';
import { isConflated } from './steps.js';

type Acked = Publication & { id: string; ackedAt: number };

/** What a session has got of one feed. */
interface Got {
  readonly texts: Set<string>;
  readonly resets: { data: { oldest: string | null } }[];
}

/** Compares what came on a connection with the model; returns what is wrong. */
export function faultsOf(session: Session, publications: Publications, hasFaults: boolean): string[] {
  const { reader, lines, own } = session;
  const { fault } = reader;
  if (reader.status !== 200) return faultsOfRefusal(session, hasFaults);
  const faults = [
    ...(fault === undefined ? [] : [`${own}: ${fault}`]),
    ...faultsOfLines(session, lines, publications),
    ...faultsOfEnd(session, hasFaults),
  ];
  const end = lines.findLast(({ id }) => id !== undefined)?.id;
  for (const [feed, periods] of session.periods) {
    const [period, ...others] = periods;
    // What is unfollowed may miss what waits: only its order and its right to come are looked at.
    if (!period || period.endedAt !== undefined || others.length > 0) continue;
    const got = gotOf(lines, feed);
    const owed = publications.ackedOf(feed).filter((each) => isOwed(each, session, feed, got, publications));
    const missing = owed.filter(({ text }) => !got.texts.has(text));
    const passed =
      end === undefined || isConflated(feed) ? [] : missing.filter(({ id }) => publications.isUpTo(id, publications.positionIn(end)));
    for (const each of passed) faults.push(`${own} did not get ${describe(each)}, and its position is ${end}`);
    if (!reader.isComplete || session.endedAt === undefined) continue;
    const due = owed.filter(({ node, ackedAt }) => node === session.node && ackedAt < (session.endedAt as number));
    for (const each of isConflated(feed) ? due.slice(-1) : due) {
      const isThere = isConflated(feed) ? hasFrom(got, each, publications) : got.texts.has(each.text);
      if (!isThere) faults.push(`${own} ended in good order without ${describe(each)}, which was published before`);
    }
  }
  return faults;
}

const describe = ({ text, feed, id, begunAt, ackedAt }: Publication) =>
  `message ${text.slice(0, 20).trim()} of ${feed} (${id}, published at ${begunAt}–${ackedAt})`;

function gotOf(lines: readonly Line[], feed: string): Got {
  const ofFeed = lines.filter((line) => line.feed === feed);
  return {
    texts: new Set(ofFeed.filter(({ type }) => type === undefined).map(({ data }) => data as string)),
    resets: ofFeed.filter(({ type }) => type === 'reset') as Got['resets'],
  };
}

/** Whether a session must get a message of a feed that it follows. */
function isOwed(message: Acked, session: Session, feed: string, { resets }: Got, publications: Publications): boolean {
  const [period] = session.periods.get(feed) ?? [];
  const { start } = session;
  if (!period || !start) return false;
  const at = publications.positionIn(message.id);
  if (at.epoch !== start.epoch) return false;
  const wasLost = resets.some(({ data: { oldest } }) =>
    oldest === null ? message.begunAt < (period.readyAt ?? Number.POSITIVE_INFINITY) : at.offset < publications.positionIn(oldest).offset,
  );
  if (wasLost) return false;
  if (period.isInitial) return at.offset > start.offset;
  return period.readyAt !== undefined && message.begunAt > period.readyAt;
}

/** Whether a message, or a newer one of its feed, has come. */
function hasFrom({ texts }: Got, { feed, id }: Acked, publications: Publications): boolean {
  const least = publications.positionIn(id).offset;
  return [...texts].some((text) => {
    const publication = publications.find(text);
    return publication?.feed === feed && publication.id !== undefined && publications.positionIn(publication.id).offset >= least;
  });
}

/** What came must be what was published, in order, once, and only of feeds that are followed. */
function faultsOfLines(session: Session, lines: readonly Line[], publications: Publications): string[] {
  const { own, options, periods } = session;
  const faults: string[] = [];
  const got = new Set<string>();
  const since = options.since === undefined ? undefined : publications.positionIn(options.since);
  let last = 0;
  let items = 0;
  for (const { id, feed, type, data } of lines) {
    if (type === 'error') continue; // the broker failed
    if (feed === undefined) {
      if (typeof data !== 'string' || !data.startsWith(`item ${items} `))
        faults.push(`${own} got item ${`${data}`.slice(0, 20)}, not ${items}`);
      items += 1;
      continue;
    }
    const followed = periods.get(feed) ?? [];
    if (followed.length === 0) faults.push(`${own} got something of ${feed}, which it never followed`);
    if (id !== undefined) {
      const { offset } = publications.positionIn(id);
      if (offset < last || (offset === last && type === undefined)) faults.push(`${own} got ${id} behind ${last}`);
      last = Math.max(last, offset);
    }
    if (type === 'reset') continue;
    const publication = publications.find(data);
    if (!publication || publication.feed !== feed) {
      faults.push(`${own} got ${`${data}`.slice(0, 40)} on ${feed}, where it was never published`);
      continue;
    }
    publication.id ??= id;
    if (id !== undefined && publication.id !== undefined && !publications.isSame(publication.id, id))
      faults.push(`${own} got ${describe(publication)} as ${id}`);
    if (followed.every(({ endedAt }) => endedAt !== undefined && publication.begunAt > endedAt)) {
      faults.push(`${own} got ${describe(publication)}, after it had unfollowed it`);
    }
    // A feed that is followed again may be read again.
    if (got.has(publication.text) && followed.length === 1) faults.push(`${own} got ${describe(publication)} twice`);
    got.add(publication.text);
    if (since && id !== undefined && publications.isUpTo(id, since))
      faults.push(`${own} got ${describe(publication)}, and came back with ${options.since}`);
  }
  // Where it came back with a position of another history, it is told before anything comes.
  if (since && session.start && since.epoch !== session.start.epoch) {
    for (const feed of options.feeds) {
      const first = lines.find((line) => line.feed === feed);
      if (first && first.type !== 'reset') faults.push(`${own} was not told that its position on ${feed} is gone`);
    }
  }
  return faults;
}

/** A client that reads is never cut, unless what it reads is unavailable. */
export function faultsOfEnd(session: Session, hasFaults: boolean): string[] {
  const { own, reader, reason, wasPaused, isCutByModel, isClosed, endedAt } = session;
  if (!isClosed || isCutByModel) return [];
  if ((reason === 'slow' || reason === 'stalled') && !wasPaused) return [`${own} was cut as ${reason}, and its client read all the time`];
  if (reason === 'error' && !hasFaults) return [`${own} ended with an error`];
  if (reader.isComplete && endedAt === undefined) return [`${own} ended in good order (${reason}), which nobody had asked for`];
  if (!reader.isComplete && endedAt !== undefined && !wasPaused && !hasFaults)
    return [`${own} was ended (${reason}), and got no orderly end`];
  return [];
}

function faultsOfRefusal({ own, reader, isCutByModel, endedAt }: Session, hasFaults: boolean): string[] {
  if (isCutByModel || hasFaults || endedAt !== undefined) return [];
  return [`${own} was refused: ${reader.head} ${reader.rest}`];
}
