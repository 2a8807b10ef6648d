import type { WorkerResponses } from '../../health/workers.js';

/** What a worker reports once it listens. */
export interface Started {
  port: number;
  /** For the operator, a line each. */
  warnings: string[];
}

/** A query to all workers. */
export interface Query {
  name: string;
  argument?: string;
}

/** A message from a worker to the primary. */
export type WorkerMessage =
  | { type: 'started'; started: Started }
  | { type: 'failed'; reason: string }
  /** Whether the worker has room for new connections has changed. */
  | { type: 'ready'; isReady: boolean }
  /** The worker got a signal to end. */
  | { type: 'leave' }
  /** The worker queries all workers. */
  | { type: 'query'; id: number; query: Query }
  /** The worker responds to a request. */
  | { type: 'response'; request: number; value: unknown };

/** A message from the primary to a worker. */
export type PrimaryMessage =
  /** Whether the worker accepts connections. */
  | { type: 'accept'; isOn: boolean }
  | { type: 'drain' }
  /** The primary asks for this worker's response to a query. */
  | { type: 'request'; request: number; query: Query }
  /** The responses of all workers to this worker's query. */
  | { type: 'result'; id: number; result: WorkerResponses<unknown> };
