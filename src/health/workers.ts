/** What the processes that serve together answered to a question. */
export interface Answers<T> {
  /** One from each, and of which process it is. */
  answers: { pid: number; answer: T }[];
  /** The processes that did not answer in time. */
  missing: number[];
}

/**
 * The processes that serve one port together, this one among them; the port, and its token, for whoever starts several. Where nothing is
 * provided for it, this process is alone.
 */
export abstract class Workers {
  /** Which of them this process is, from 1 on; one that takes the place of another has its number. */
  abstract readonly number: number;

  /**
   * Says how this process answers a question.
   *
   * @param question its name
   * @param how told what the question is about, if it is about anything; what it returns must be JSON
   */
  abstract answer(question: string, how: (about?: string) => unknown): void;

  /** Asks all of them, this one included, as they are after this call; one that does not answer within a second is left out and named. */
  abstract ask<T>(question: string, about?: string): Promise<Answers<T>>;
}
