import { type Column, check, checkTable, decimals, none, percentile, sum, table } from '../lib/figures.js';
import type { Publisher } from '../lib/publisher.js';
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
  /** Acknowledged messages that the engine has no more. */
  gone: number | undefined;
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
export function figures({ stage, publisher, calm, gone, presence }: Run): string {
  const { crowd, slowestAnswerMs } = stage;
  const [p50, p99, max] = [0.5, 0.99, 1].map((share) => decimals(percentile(calm, share), 1));
  const rows: [what: string, figure: string][] = [
    ['published and acknowledged', decimals(publisher.acknowledged)],
    ['published, not acknowledged', decimals(publisher.unacknowledged)],
    ['published again with their keys', decimals(stage.repetitions)],
    ['slowest answer to a publish', `${decimals(slowestAnswerMs)} ms`],
    ['acknowledged, and gone from the engine', decimals(gone)],
    ['received', decimals(crowd.received)],
    ['received again after a reset', decimals(sum(crowd.ledgers.map(({ again }) => again)))],
    ['resets', decimals(sum(crowd.ledgers.map(({ resets }) => resets)))],
    ['losses that a reset told', decimals(sum(crowd.ledgers.map(({ told }) => told.length)))],
    ['acknowledged messages that some follower lost so', decimals(lostMessages(stage))],
    ['connections made again', decimals(crowd.reconnects)],
    ['of those refused (503)', decimals(crowd.rejected)],
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
export function judge({ engine: { forgets = false, parts = false, mostAnswerMs }, stage, publisher, isWhole, gone = 0, presence }: Run) {
  const { crowd, slowestAnswerMs } = stage;
  const { faults, ledgers } = crowd;
  const { lost: silent = 0, ...others } = Object.fromEntries(faults);
  const resets = sum(ledgers.map((ledger) => ledger.resets));
  const checks = [
    check('acknowledged', decimals(publisher.acknowledged), '> 0', publisher.acknowledged > 0),
    check('all followers are connected in the end', isWhole ? 'yes' : 'no', 'yes', isWhole),
    none('gone from the engine', gone),
    none('lost silently', silent),
    none('feeds whose presence is wrong after 15 s', presence.miscounted),
    ...(parts ? [] : [none('feeds told as occupied, or vacated, twice in a row', presence.repeated)]),
    none('feeds told as other than they are', presence.wrong),
    none('connections told as lost twice', presence.lostTwice),
    ...Object.entries(others).map(([what, count]) => none(what, what === 'resets' ? resets : count)),
  ].filter(({ what }) => !forgets || !['gone from the engine', 'resets'].includes(what));
  if (mostAnswerMs !== undefined) {
    checks.push(check('slowest answer, ms', decimals(slowestAnswerMs), `≤ ${decimals(mostAnswerMs)}`, slowestAnswerMs <= mostAnswerMs));
  }
  return { text: checkTable(checks), ok: checks.every(({ ok }) => ok) };
}
