import type { Answers } from '../../health/workers.js';

/** What a worker that serves tells of its start. */
export interface Started {
  port: number;
  /** What whoever starts the service should know, a line each. */
  warnings: string[];
}

export interface Question {
  name: string;
  about?: string;
}

/** What a worker tells the primary. */
export type FromWorker =
  | { type: 'started'; started: Started }
  | { type: 'failed'; reason: string }
  | { type: 'ask'; id: number; question: Question }
  | { type: 'answer'; round: number; answer: unknown };

/** What the primary tells a worker. */
export type FromPrimary =
  | { type: 'drain' }
  | { type: 'question'; round: number; question: Question }
  | { type: 'answers'; id: number; answers: Answers<unknown> };
