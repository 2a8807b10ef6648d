import { connect } from 'node:net';
import { ResponseReader } from '../dist/flood/response-reader.js';

/** What a format's `Accept` is, and how its lines become messages: `{ id?, type?, text?, retryMs? }`, text being where the data is in. */
const formats = {
  text: {
    accept: 'text/plain',
    reader: () => (line, take) => {
      if (line !== '') take({ text: line });
    },
  },
  ndjson: {
    accept: 'application/x-ndjson',
    reader: () => (line, take) => {
      if (line === '') return;
      const { id, type, data } = JSON.parse(line);
      take({ id, type, text: data });
    },
  },
  sse: {
    accept: 'text/event-stream',
    // As `EventSource` does (HTML standard, section 9.2.6): an event counts, and so does its id, once its blank line has come.
    reader: () => {
      let event = {};
      return (line, take) => {
        if (line === '') {
          take(event);
          event = {};
          return;
        }
        const [, field, value] = /^(\w*): ?(.*)$/.exec(line) ?? [];
        if (field === 'id') event.id = value;
        else if (field === 'event') event.type = value;
        else if (field === 'data') event.text = value;
        else if (field === 'retry') event.retryMs = Number(value);
      };
    },
  },
};

export const formatNames = Object.keys(formats);

/** Addresses to come from, in turn: a port that was used may rest for a minute, and one address has some 28,000 of them. */
const sources = Array.from({ length: 16 }, (_, n) => `127.0.0.${n + 1}`);
let made = 0;

/** All sockets read into one buffer: what is in it is looked at before the next one reads. */
const shared = Buffer.allocUnsafeSlow(64 * 1024);

/** One response of the service, as its client has it: tells its listener the status, each message, and that it is over. */
export class Connection {
  /** Whether the client has left: that it ends is then no fault. */
  hasLeft = false;
  /** Whether the response came to its orderly end. */
  isComplete = false;
  #why = 'closed';
  #listener;
  #reader = new ResponseReader(this);
  #readLine;
  #socket;

  /**
   * @param request.target path and query
   * @param request.format one of `formatNames`
   * @param request.lastId the id of the last message that the client has, if it comes back for more
   */
  constructor({ hostname: host, port }, { target, format, lastId }, listener) {
    const { accept, reader } = formats[format];
    this.#listener = listener;
    this.#readLine = reader();
    made += 1;
    const localAddress = sources[made % sources.length];
    this.#socket = connect({ host, port, localAddress, onread: { buffer: shared, callback: (length) => this.#read(length) } });
    const resume = lastId === undefined ? '' : `Last-Event-ID: ${lastId}\r\n`;
    this.#socket.write(`GET ${target} HTTP/1.1\r\nHost: ${host}:${port}\r\nAccept: ${accept}\r\n${resume}\r\n`);
    this.#socket.on('error', ({ message }) => {
      this.#why = message;
    });
    this.#socket.on('close', () => listener.closed(this.#why));
  }

  /** Leaves: with a FIN, with a reset, or with a FIN that leaves it to the service to close. */
  leave(manner) {
    if (this.hasLeft) return;
    this.hasLeft = true;
    if (manner === 'half') this.#socket.end().resume();
    else if (manner === 'reset') this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  /** Is closed, whatever the service does. */
  destroy() {
    this.#socket.destroy();
  }

  pause() {
    this.#socket.pause();
  }

  resume() {
    this.#socket.resume();
  }

  head(status) {
    this.#listener.head(status);
  }

  line(bytes, start, end) {
    this.#readLine(bytes.toString('latin1', start, end), (message) => this.#listener.message(message));
  }

  end() {
    this.isComplete = true;
  }

  #read(length) {
    try {
      this.#reader.read(shared, length);
    } catch (error) {
      this.#why = error.message;
      this.#socket.destroy();
    }
    return true;
  }
}
