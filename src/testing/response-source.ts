import type { IncomingMessage } from 'node:http';
import type { FeedMessage } from '../feed/message/message.js';
import { describeMessages, FollowError, mostShown } from './errors.js';
import type { MessageSource } from './messages.js';

/** The messages of a response in NDJSON. It is read no faster than they are taken. */
export class ResponseSource implements MessageSource {
  private readonly chunks: AsyncIterator<string>;
  /** What has come and has not been taken. */
  private lines: string[] = [];
  /** The beginning of a line that has not come to its end. */
  private rest = '';
  /** How many have been taken, and the last of them. */
  private count = 0;
  private last: FeedMessage[] = [];
  /** Under way, for all who wait. */
  private reading: Promise<boolean> | undefined;

  /**
   * @param leaving ends the connection
   * @param signal aborted when the connection is ended, by that or by the test's own signal
   */
  constructor(
    readonly name: string,
    private readonly response: IncomingMessage,
    private readonly leaving: AbortController,
    private readonly signal: AbortSignal,
  ) {
    this.chunks = response.setEncoding('utf8')[Symbol.asyncIterator]();
  }

  take(): FeedMessage | undefined {
    for (let line = this.lines.shift(); line !== undefined; line = this.lines.shift()) {
      if (line === '') continue; // a heartbeat
      const message = JSON.parse(line);
      if (!('data' in message)) continue; // a position alone
      this.count += 1;
      this.last = [...this.last, message].slice(-mostShown);
      return message;
    }
    return undefined;
  }

  describe(): string {
    return `So far: ${describeMessages(this.count, this.last)}`;
  }

  more(): Promise<boolean> {
    this.reading ??= this.read().finally(() => {
      this.reading = undefined;
    });
    return this.reading;
  }

  close(): void {
    this.leaving.abort();
  }

  private async read(): Promise<boolean> {
    try {
      const { value, done } = await this.chunks.next();
      if (done) return false;
      const lines = `${this.rest}${value}`.split('\n');
      this.rest = lines.pop() as string;
      this.lines.push(...lines);
      return true;
    } catch (error) {
      if (this.leaving.signal.aborted) return false;
      this.signal.throwIfAborted();
      const message = `${this.name} broke off: ${(error as Error).message}. ${this.describe()}`;
      throw new FollowError(message, this.response.statusCode, undefined, { cause: error });
    }
  }
}
