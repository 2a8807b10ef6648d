import type { Registry } from 'prom-client';
import { feedErrorCodes } from '../feed/errors/feed-exception.js';
import { endReasons } from '../feed/stats/end-reason.js';
import { type Measures, type RuleMeasures, resumeResults } from '../feed/stats/measures.js';
import { type Read, readCounter, readHistogram } from './read-metrics.js';

/**
 * Adds what is measured by rule to a registry, and has it measured from now on. The label `rule` is the pattern of a rule, or `none` for feeds
 * without: it has as many values as there are rules, and one more. A series of a rule is there once something was counted in it, that of `none` always.
 */
export function addRuleMetrics(registry: Registry, measures: Measures): void {
  measures.begin();
  readCounter(registry, 'feed_resumes_total', 'Connections that resumed from a position, by result.', ['result', 'rule'], () =>
    byRule(({ resumes }) => resumeResults.map((result) => [{ result }, resumes[result]])),
  );
  readCounter(registry, 'feed_replay_messages_total', 'Messages of history sent to new connections.', ['rule'], () =>
    byRule(({ replayed }) => [[{}, replayed]]),
  );
  readCounter(
    registry,
    'feed_requests_refused_total',
    'Requests, and messages of a request with several, that were answered with an error, by its code.',
    ['code', 'rule'],
    () => byRule(({ refused }) => feedErrorCodes.map((code) => [{ code }, refused.get(code) ?? 0])),
  );
  readHistogram(registry, 'feed_replay_duration_seconds', 'Time until a replay that had messages was sent.', () =>
    byRule(({ replay }) => [[{}, replay]]),
  );
  readHistogram(registry, 'feed_connection_duration_seconds', 'Time that connections were open, by end reason.', () =>
    byRule((each) => endReasons.map((reason) => [{ reason }, each.lifeOf(reason)])),
  );
  readHistogram(
    registry,
    'feed_delivery_lag_seconds',
    'Time from the storing of a message until all subscribers here had been given it.',
    () => byRule(({ lag }) => [[{}, lag]]),
  );

  function byRule<Value extends number | { readonly count: number }>(
    read: (each: RuleMeasures) => (readonly [Record<string, string>, Value])[],
  ): ReturnType<Read<Value>> {
    return measures.all.flatMap((each) =>
      read(each).flatMap(([labels, value]) => {
        const isEmpty = (typeof value === 'number' ? value : value.count) === 0;
        return isEmpty && each !== measures.rest ? [] : [[{ ...labels, rule: each.rule }, value] as const];
      }),
    );
  }
}
