import { type Column, check, checkTable, decimals, none, percentile, sum, table } from '../lib/figures.js';
import type { Publisher } from '../lib/publisher.js';
import type { EngineLosses } from './lost-from-engine.js';
import type { PresenceFaults } from './presence-check.js';
import type { Engine, Stage } from './stage.js';

/** A run that has settled. */
interface Run {
  engine: Engine;
  stage: Stage;
  publisher: Publisher;
  /** How long messages took while all was well, in milliseconds. */
  calm: readonly number[];
  /** Whether all followers were connected in the end. */
  isWhole: boolean;
  /** What the engine has of the acknowledged messages; undefined where that is not known. */
  losses: EngineLosses | undefined;
  presence: PresenceFaults;
}

/** How many messages at least one follower has lost, of all feeds together. */
function lostMessages({ crowd: { ledgers } }: Stage): number {
  const lost = new Map<string, Set<number>>();
  for (const { feed, told } of ledgers) {
    const numbers = lost.get(feed.name) ?? new Set();
    for (const number of told) numbers.add(number);
    lost.set(feed.name, numbers);
  }
  return sum([...lost.values()].map(({ size }) => size));
}

/** What happened: the figures. */
export function figures({ stage, publisher, calm, losses, presence }: Run): string {
  const { crowd, slowestAnswerMs, repeater } = stage;
  const [p50, p99, max] = [0.5, 0.99, 1].map((share) => decimals(percentile(calm, share), 1));
  const rows: [what: string, figure: string][] = [
    ['published and acknowledged', decimals(publisher.acknowledged)],
    ['published, not acknowledged', decimals(publisher.unacknowledged)],
    ['published again with their keys', decimals(repeater?.repetitions)],
    ['of those acknowledged with another id than before', decimals(repeater?.otherIds)],
    ['slowest answer to a publish', `${decimals(slowestAnswerMs)} ms`],
    ['acknowledged, and gone from the engine', decimals(losses?.gone)],
    ['received', decimals(crowd.received)],
    ['received again after a reset', decimals(sum(crowd.ledgers.map(({ again }) => again)))],
    ['resets', decimals(sum(crowd.ledgers.map(({ resets }) => resets)))],
    ['losses that a reset told', decimals(sum(crowd.ledgers.map(({ told }) => told.length)))],
    ['acknowledged messages that some follower lost so', decimals(lostMessages(stage))],
    ['connections made again', decimals(crowd.reconnects)],
    ['of those refused (503)', decimals(crowd.rejected)],
    ['told that history cannot be read', decimals(crowd.failed)],
    ['told: occupied and vacated', decimals(presence.told)],
    ['told: connections of lost nodes', decimals(presence.lost)],
    ['events that came again, under their ids', decimals(presence.again)],
    ['publish to receive, while all was well', `p50 ${p50}, p99 ${p99}, max ${max} ms`],
  ];
  const columns: Column<(typeof rows)[number]>[] = [
    ['what', ([what]) => what],
    ['figure', ([, figure]) => figure],
  ];
  return table(columns, rows);
}

/** Judges a run; returns a table, and whether all holds. */
export function judge({ engine: { forgets = false, parts = false, mostAnswerMs }, stage, publisher, isWhole, losses, presence }: Run) {
  const { crowd, slowestAnswerMs, repeater, options } = stage;
  const { faults, ledgers } = crowd;
  const { lost: silent = 0, ...others } = Object.fromEntries(faults);
  const resets = sum(ledgers.map((ledger) => ledger.resets));
  const checks = [
    check('acknowledged', decimals(publisher.acknowledged), '> 0', publisher.acknowledged > 0),
    check('all followers are connected in the end', isWhole ? 'yes' : 'no', 'yes', isWhole),
    ...(options.messages === undefined ? [] : [none('published, not acknowledged', publisher.unacknowledged)]),
    none('gone from the engine', losses?.gone ?? 0),
    none('stored more than once in the engine', losses?.repeated ?? 0),
    none('lost silently', silent),
    none('feeds whose presence is wrong after 15 s', presence.miscounted),
    ...(parts ? [] : [none('feeds told as occupied, or vacated, twice in a row', presence.repeated)]),
    none('feeds told as other than they are', presence.wrong),
    none('connections told as lost twice', presence.lostTwice),
    ...(repeater ? [none('acknowledged with another id than before', repeater.otherIds)] : []),
    ...[...(repeater?.refused ?? [])].map(([code, count]) => none(`refused with ${code}`, count)),
    ...Object.entries(others).map(([what, count]) => none(what, what === 'resets' ? resets : count)),
  ].filter(({ what }) => !forgets || !['gone from the engine', 'acknowledged with another id than before', 'resets'].includes(what));
  if (mostAnswerMs !== undefined) {
    checks.push(check('slowest answer, ms', decimals(slowestAnswerMs), `≤ ${decimals(mostAnswerMs)}`, slowestAnswerMs <= mostAnswerMs));
  }
  return { text: checkTable(checks), ok: checks.every(({ ok }) => ok) };
}
