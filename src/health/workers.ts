/** The responses of the workers to a query. */
export interface WorkerResponses<T> {
  /** One for each worker that responded, by its process id. */
  responses: { pid: number; value: T }[];
  /** The process ids of the workers that did not respond in time. */
  missing: number[];
}

/**
 * The workers that serve one port, this process among them: the port and injection token for an application that starts several. Without a
 * provider for it, this process is the only one.
 */
export abstract class Workers {
  /** The number of this worker, from 1 on. A worker that replaces another takes over its number. */
  abstract readonly number: number;

  /**
   * Registers this worker's handler for a query.
   *
   * @param handler gets the query's argument, if it has one; returns the response, which must be JSON, or a promise of it
   */
  abstract handle(query: string, handler: (argument?: string) => unknown): void;

  /** Queries all workers, this one included. One that does not respond within a second is listed as missing. */
  abstract query<T>(name: string, argument?: string): Promise<WorkerResponses<T>>;
}
