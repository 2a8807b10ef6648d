import type { HealthCheckResult } from '@nestjs/terminus';
import { type FeedCount, type FeedCounts, rejectReasons } from '../../feed/stats/counts.js';
import { type EndReason, endReasons } from '../../feed/stats/end-reason.js';
import type { Answered, ClusterCounts } from '../../health/connection-counts.js';
import type { ProcessCounts } from '../../health/process-health.js';
import { HealthScopeException, scopeRule, scopes } from '../../health/scope.js';
import { json, type Operation, objectOf, type Paths, type Schema, schemaNamed } from './openapi.js';
import { refusals } from './refusals.js';

const counted = (description?: string): Schema => ({ type: 'integer', minimum: 0, description });

const milliseconds: Schema = { type: 'number', minimum: 0 };

/** What is counted of connections, in each scope. */
const feedCounts = {
  open: counted('Connections open now.'),
  peak: counted('The most that were open at one time.'),
  opened: counted('All that were ever opened.'),
  rejected: counted('Requests for a feed that were refused.'),
  rejectedBy: {
    ...objectOf(Object.fromEntries(rejectReasons.map((reason) => [reason, counted()]))),
    description: 'The same, by reason.',
  },
  closed: {
    ...objectOf(Object.fromEntries(endReasons.map((reason) => [reason, counted()]))),
    description: 'Those that ended, by reason.',
  },
  feeds: counted('Feeds that somebody follows.'),
  handedOver: counted("Open connections whose socket was taken out of Node's HTTP stack."),
  messages: counted('Messages written, counted once for each connection.'),
  bytes: counted("Bytes of those messages, without HTTP's framing."),
  bufferedBytes: counted('Bytes that wait for clients to read.'),
  limit: { type: ['integer', 'null'], description: 'The most connections that may be open; null: no limit.' },
} satisfies Record<keyof FeedCounts, Schema>;

/** What a process costs. */
const processCounts = {
  rssBytes: counted('Resident memory.'),
  eventLoopDelayMs: {
    ...objectOf({ p50: milliseconds, p99: milliseconds }),
    description: 'How late the event loop was, over the last 10 to 20 seconds; of several processes, the worst.',
  },
} satisfies Record<keyof ProcessCounts, Schema>;

const allCounts = { ...feedCounts, ...processCounts };

const oneCount = {
  id: { type: 'string' },
  open: counted('Connections that follow it now.'),
  bufferedBytes: counted('Bytes that wait for its followers to read.'),
} satisfies Record<keyof FeedCount, Schema>;

const pids: Schema = { type: 'array', items: { type: 'integer' } };

/** Which processes are counted, where there are several, or one alone is asked for. */
const whose = {
  workers: {
    ...objectOf({
      pids: { ...pids, description: 'The processes that are counted.' },
      missing: { ...pids, description: 'Those that are not, since they did not answer within a second.' },
    } satisfies Record<keyof NonNullable<Answered['workers']>, Schema>),
    description: 'Where several processes serve.',
  },
  pid: { type: 'integer', description: 'With `scope=worker`: which process this is.' },
} satisfies Record<string, Schema>;

const sums =
  'sums. A feed counts once for each process in which it is followed; `peak` is the sum of their peaks; what a process counted that has ended is gone.';

export const healthSchemas: Record<string, Schema> = {
  Health: objectOf({
    status: { type: 'string', enum: ['ok', 'error', 'shutting_down'] },
    info: { type: 'object', description: 'What is up.' },
    error: { type: 'object', description: 'What is down, with a `message` that says why.' },
    details: { type: 'object', description: 'Both.' },
  }),
  Counts: { ...objectOf(allCounts), properties: { ...allCounts, ...whose }, description: `Of one process, or of several: ${sums}` },
  FeedCount: { ...objectOf(oneCount), properties: { ...oneCount, ...whose }, description: 'Of one process, or the sums of several.' },
  ClusterCounts: {
    ...objectOf({
      ...feedCounts,
      nodes: {
        type: 'array',
        items: objectOf({ name: { type: 'string' }, ...feedCounts }),
        description: 'What each process has told: this one now, the others up to two seconds ago. One that is silent for six is left out.',
      },
    } satisfies Record<keyof ClusterCounts, Schema>),
    description: `Of several processes: ${sums}`,
  },
};

const feedOnly: FeedCounts = {
  open: 10_000,
  peak: 10_000,
  opened: 10_020,
  rejected: 0,
  rejectedBy: { limit: 0, client: 0, rate: 0, broker: 0, draining: 0 },
  closed: { ...(Object.fromEntries(endReasons.map((reason) => [reason, 0])) as Record<EndReason, number>), client: 20 },
  feeds: 10_000,
  handedOver: 10_000,
  messages: 120_000,
  bytes: 3_200_000,
  bufferedBytes: 0,
  limit: 19_000,
};

const counts: FeedCounts & ProcessCounts = { ...feedOnly, rssBytes: 140_000_000, eventLoopDelayMs: { p50: 0.1, p99: 1.5 } };

const count: FeedCount = { id: 'orders/7', open: 3, bufferedBytes: 0 };

const inCluster: ClusterCounts = { ...feedOnly, nodes: [{ name: 'web-1-4711', ...feedOnly }] };

const engine = { status: 'up' as const, state: 'ok', broker: 'redis' };
const up = { feeds: { status: 'up' as const, open: 10_000, limit: 19_000 }, broker: engine };
const degradedUp = { ...up, broker: { ...engine, state: 'degraded', unavailableSince: '2026-01-01T00:00:00.000Z', message: 'away: …' } };
const down = { feeds: { status: 'down' as const, open: 18_200, limit: 19_000, message: 'near the limit' } };

const alive: HealthCheckResult = { status: 'ok', info: {}, error: {}, details: {} };
const ready: HealthCheckResult = { status: 'ok', info: up, error: {}, details: up };
const degraded: HealthCheckResult = { status: 'ok', info: degradedUp, error: {}, details: degradedUp };
const unready: HealthCheckResult = { status: 'error', info: { broker: engine }, error: down, details: { ...down, broker: engine } };

const full = 'No: the service is shutting down, or 95 % of the connections are taken.';

/** A route that says yes, or no where it can, each with how it looks. */
function probe(
  about: Pick<Operation, 'operationId' | 'summary'>,
  yes: Record<string, HealthCheckResult>,
  no?: HealthCheckResult,
): Operation {
  const answer = (description: string, examples: Record<string, HealthCheckResult>) => ({
    description,
    content: json(schemaNamed('Health'), examples),
  });
  const refused = no && { 503: answer(full, { [no.status]: no }) };
  return { tags: ['health'], ...about, security: [], responses: { 200: answer('Yes.', yes), ...refused } };
}

const connections: Operation = {
  tags: ['health'],
  operationId: 'connections',
  summary: 'The counts, of all feeds or of one',
  security: [],
  parameters: [
    {
      name: 'id',
      in: 'query',
      description: 'The feed to count. Without it, all are counted.',
      schema: { type: 'string' },
      example: count.id,
    },
    {
      name: 'scope',
      in: 'query',
      description:
        'Which processes are counted: the one that answers (`worker`), those that serve its port (`service`), or all that share its broker (`cluster`, for all feeds alone).',
      schema: { type: 'string', enum: [...scopes] },
      example: 'service',
    },
  ],
  responses: {
    200: {
      description: 'The counts.',
      content: json(
        { oneOf: ['Counts', 'FeedCount', 'ClusterCounts'].map(schemaNamed) },
        {
          all: counts,
          one: count,
          worker: { pid: 4711, ...counts },
          workers: { ...counts, workers: { pids: [4711, 4712], missing: [] } },
          cluster: inCluster,
        },
      ),
    },
    ...refusals(new HealthScopeException(scopeRule)),
  },
};

export const healthPaths: Paths = {
  '/health': { get: probe({ operationId: 'health', summary: 'The whole check' }, { ok: ready, degraded }, unready) },
  '/health/live': {
    get: probe({ operationId: 'live', summary: 'Whether the process answers at all' }, { ok: alive }),
  },
  '/health/ready': {
    get: probe({ operationId: 'ready', summary: 'Whether to send new connections here' }, { ok: ready, degraded }, unready),
  },
  '/health/connections': { get: connections },
};
