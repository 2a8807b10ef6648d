import type { HealthCheckResult } from '@nestjs/terminus';
import { type CloseReason, closeReasons } from '../feed/connection/close-reason.js';
import { type FeedCount, type FeedCounts, rejectReasons } from '../feed/feed.counts.js';
import type { ProcessCounts } from '../health/process-health.js';
import { json, type Operation, objectOf, type Paths, type Schema, schemaNamed } from './openapi.js';

const counted = (description?: string): Schema => ({ type: 'integer', minimum: 0, description });

const milliseconds: Schema = { type: 'number', minimum: 0 };

export const healthSchemas: Record<string, Schema> = {
  Health: objectOf({
    status: { type: 'string', enum: ['ok', 'error', 'shutting_down'] },
    info: { type: 'object', description: 'What is up.' },
    error: { type: 'object', description: 'What is down, with a `message` that says why.' },
    details: { type: 'object', description: 'Both.' },
  }),
  Counts: objectOf({
    open: counted('Connections open now.'),
    peak: counted('The most that were open at one time.'),
    opened: counted('All that were ever opened.'),
    rejected: counted('Requests for a feed that were refused.'),
    rejectedBy: {
      ...objectOf(Object.fromEntries(rejectReasons.map((reason) => [reason, counted()]))),
      description: 'The same, by reason.',
    },
    closed: {
      ...objectOf(Object.fromEntries(closeReasons.map((reason) => [reason, counted()]))),
      description: 'Those that ended, by reason.',
    },
    feeds: counted('Feeds that somebody follows.'),
    handedOver: counted("Open connections whose socket was taken out of Node's HTTP stack."),
    messages: counted('Messages written, counted once for each connection.'),
    bytes: counted("Bytes of those messages, without HTTP's framing."),
    bufferedBytes: counted('Bytes that wait for clients to read.'),
    limit: { type: ['integer', 'null'], description: 'The most connections that may be open; null: no limit.' },
    rssBytes: counted("The process's resident memory."),
    eventLoopDelayMs: {
      ...objectOf({ p50: milliseconds, p99: milliseconds }),
      description: 'How late the event loop was, over the last 10 to 20 seconds.',
    },
  } satisfies Record<keyof (FeedCounts & ProcessCounts), Schema>),
  FeedCount: objectOf({
    id: { type: 'string' },
    open: counted('Connections that follow it now.'),
    bufferedBytes: counted('Bytes that wait for its followers to read.'),
  } satisfies Record<keyof FeedCount, Schema>),
};

const counts: FeedCounts & ProcessCounts = {
  open: 10_000,
  peak: 10_000,
  opened: 10_020,
  rejected: 0,
  rejectedBy: { limit: 0, client: 0, rate: 0, broker: 0, draining: 0 },
  closed: { ...(Object.fromEntries(closeReasons.map((reason) => [reason, 0])) as Record<CloseReason, number>), client: 20 },
  feeds: 10_000,
  handedOver: 10_000,
  messages: 120_000,
  bytes: 3_200_000,
  bufferedBytes: 0,
  limit: 19_000,
  rssBytes: 140_000_000,
  eventLoopDelayMs: { p50: 0.1, p99: 1.5 },
};

const count: FeedCount = { id: 'orders/7', open: 3, bufferedBytes: 0 };

const up = { feeds: { status: 'up' as const, open: 10_000, limit: 19_000 } };
const down = { feeds: { status: 'down' as const, open: 18_200, limit: 19_000, message: 'near the limit' } };

const alive: HealthCheckResult = { status: 'ok', info: {}, error: {}, details: {} };
const ready: HealthCheckResult = { status: 'ok', info: up, error: {}, details: up };
const unready: HealthCheckResult = { status: 'error', info: {}, error: down, details: down };
const shuttingDown: HealthCheckResult = { ...alive, status: 'shutting_down' };

/** A route that says yes or no, each with how it looks. */
function probe(about: Pick<Operation, 'operationId' | 'summary'>, yes: HealthCheckResult, why: string, no: HealthCheckResult): Operation {
  const answer = (description: string, health: HealthCheckResult) => ({
    description,
    content: json(schemaNamed('Health'), { [health.status]: health }),
  });
  return { tags: ['health'], ...about, security: [], responses: { 200: answer('Yes.', yes), 503: answer(why, no) } };
}

const draining = 'No: the service shuts down.';
const full = 'No: the service shuts down, or more than 95 % of the connections are taken.';

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
  ],
  responses: {
    200: {
      description: 'The counts.',
      content: json({ oneOf: [schemaNamed('Counts'), schemaNamed('FeedCount')] }, { all: counts, one: count }),
    },
  },
};

export const healthPaths: Paths = {
  '/health': { get: probe({ operationId: 'health', summary: 'The whole check' }, ready, full, unready) },
  '/health/live': { get: probe({ operationId: 'live', summary: 'Whether the process answers at all' }, alive, draining, shuttingDown) },
  '/health/ready': { get: probe({ operationId: 'ready', summary: 'Whether to send new connections here' }, ready, full, unready) },
  '/health/connections': { get: connections },
};
