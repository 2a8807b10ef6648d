import { type ClientRequest, get, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';

/** What came on a connection; in `text`, nothing but the data. */
export interface Message {
  id?: string;
  type?: string;
  text?: string;
  retryMs?: number;
}

/** Reads a line; returns the message that it completes. */
type LineReader = (line: string) => Message | undefined;

/** As `EventSource` does (HTML standard, section 9.2.6): an event counts, and so does its id, once its blank line has come. */
function eventReader(): LineReader {
  let event: Message = {};
  return (line) => {
    if (line === '') {
      const whole = event;
      event = {};
      return whole;
    }
    const [, field, value] = /^(\w*): ?(.*)$/.exec(line) ?? [];
    if (field === 'id') event.id = value;
    else if (field === 'event') event.type = value;
    else if (field === 'data') event.text = value;
    else if (field === 'retry') event.retryMs = Number(value);
    return undefined;
  };
}

function readObject(line: string): Message | undefined {
  if (line === '') return undefined;
  const { id, type, data } = JSON.parse(line);
  return { id, type, text: data };
}

const readText: LineReader = (line) => (line === '' ? undefined : { text: line });

/** What a format's `Accept` is, and how its lines become messages. */
const formats = {
  text: { accept: 'text/plain', reader: () => readText },
  ndjson: { accept: 'application/x-ndjson', reader: () => readObject },
  sse: { accept: 'text/event-stream', reader: eventReader },
};

export type Format = keyof typeof formats;
export const formatNames = Object.keys(formats) as Format[];

/** Addresses to come from, in turn: a port that was used may rest for a minute, and one address has some 28,000 of them. */
const sources = Array.from({ length: 16 }, (_, n) => `127.0.0.${n + 1}`);
let made = 0;

/** How a client leaves: with a FIN, with a reset, or with a FIN that leaves it to the service to close. */
export type Manner = 'fin' | 'reset' | 'half';

/** What a client asks for, and what it is told of the response. */
export interface Client {
  /** @param retryAfterMs when the service asks to come back, in milliseconds */
  head(status: number, retryAfterMs?: number): void;
  message(message: Message): void;
  closed(why: string): void;
}

/** One response of the service, as its client has it. */
export class Connection {
  /** Whether the client has left: that it ends is then no fault. */
  hasLeft = false;
  #line = '';
  #why = 'closed';
  #response: IncomingMessage | undefined = undefined;
  readonly #request: ClientRequest;

  /**
   * @param target path and query
   * @param lastId the id of the last message that the client has, if it comes back for more
   */
  constructor({ hostname: host, port }: URL, target: string, client: Client, format: Format = 'text', lastId?: string) {
    const { accept, reader } = formats[format];
    const headers = { accept, connection: 'keep-alive', ...(lastId !== undefined && { 'last-event-id': lastId }) };
    made += 1;
    const localAddress = sources[made % sources.length];
    const createConnection = () => connect({ host, port: Number(port), localAddress });
    this.#request = get({ host, port, path: target, headers, createConnection }, (response) => {
      this.#response = response;
      const retryAfter = response.headers['retry-after'];
      client.head(response.statusCode as number, retryAfter === undefined ? undefined : Number(retryAfter) * 1000);
      const read = reader();
      response.on('error', this.#failed).on('data', (bytes: Buffer) => {
        for (const line of this.#linesOf(bytes)) {
          const message = read(line);
          if (message) client.message(message);
        }
      });
    });
    this.#request.on('error', this.#failed).on('close', () => client.closed(this.#why));
  }

  /** Whether the response has come to its end in good order. */
  get isComplete(): boolean {
    return this.#response?.complete ?? false;
  }

  leave(manner: Manner): void {
    if (this.hasLeft) return;
    this.hasLeft = true;
    const { socket } = this.#request;
    if (manner === 'half' && socket) {
      this.#response?.resume();
      socket.end();
    } else if (manner === 'reset' && socket) socket.resetAndDestroy();
    else this.#request.destroy();
  }

  /** Is closed, though its client has not left. */
  destroy(): void {
    this.#request.destroy();
  }

  pause(): void {
    this.#response?.pause();
  }

  resume(): void {
    this.#response?.resume();
  }

  readonly #failed = ({ message }: Error): void => {
    this.#why = message;
  };

  /** The lines that are whole; the beginning of another one is kept. */
  #linesOf(bytes: Buffer): string[] {
    const lines = (this.#line + bytes.toString('latin1')).split('\n');
    this.#line = lines.pop() as string;
    return lines;
  }
}
