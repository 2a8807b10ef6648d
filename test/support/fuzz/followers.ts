import { EventStream, type StreamEvent } from './event-stream.js';

/** A line of NDJSON. */
export interface LineMessage {
  id?: string;
  feed?: string;
  type?: string;
  time?: number | undefined;
  data: unknown;
}

/** One that follows a path in a format, and parses what comes by itself. */
abstract class Follower {
  /** What kept it from going on. */
  failure: unknown;
  private readonly leaving = new AbortController();

  protected abstract read(bytes: Uint8Array): void;

  /** Resolves when the head is there. */
  async follow(url: string): Promise<this> {
    const response = await fetch(url, { signal: this.leaving.signal });
    if (!response.ok || !response.body) throw new Error(`${response.status} from ${url}`);
    void this.readAll(response.body);
    return this;
  }

  leave(): void {
    this.leaving.abort();
  }

  private async readAll(body: AsyncIterable<Uint8Array>): Promise<void> {
    try {
      for await (const bytes of body) this.read(bytes);
      this.failure ??= new Error('the response has ended');
    } catch (error) {
      if (!this.leaving.signal.aborted) this.failure ??= error;
    }
  }
}

export class EventFollower extends Follower {
  private readonly stream = new EventStream();

  /** What came since it was last asked. */
  take(): StreamEvent[] {
    return this.stream.events.splice(0);
  }

  get count(): number {
    return this.stream.events.length;
  }

  get retries(): number[] {
    return this.stream.retries;
  }

  protected read(bytes: Uint8Array): void {
    this.stream.read(bytes);
  }
}

export class LineFollower extends Follower {
  private readonly decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  private rest = '';
  private messages: LineMessage[] = [];

  take(): LineMessage[] {
    return this.messages.splice(0);
  }

  get count(): number {
    return this.messages.length;
  }

  protected read(bytes: Uint8Array): void {
    const lines = (this.rest + this.decoder.decode(bytes, { stream: true })).split('\n');
    this.rest = lines.pop() as string;
    for (const line of lines) if (line !== '') this.messages.push(JSON.parse(line));
  }
}
