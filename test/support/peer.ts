import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { within } from './until.js';

/** A message as NDJSON has it. */
export interface Line {
  readonly id?: string;
  readonly feed?: string;
  readonly type?: string;
  readonly data: unknown;
}

/** A client that speaks bytes: it sees what is on the wire, and may misbehave. */
export class Peer {
  /** All that came, as Latin-1: one character a byte. */
  text = '';
  private static readonly all = new Set<Peer>();

  private constructor(readonly socket: Socket) {
    Peer.all.add(this);
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.text += text;
    });
    socket.on('error', () => {});
  }

  /** @param localAddress which of this machine's to come from */
  static async to(port: number, allowHalfOpen = false, localAddress?: string): Promise<Peer> {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen, localAddress });
    await once(socket, 'connect');
    return new Peer(socket);
  }

  /** Connects with TLS, whoever signed the certificate. */
  static async secure(port: number): Promise<Peer> {
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    return new Peer(socket);
  }

  /** Connects and asks for a path. */
  static async get(port: number, path: string, ...headers: string[]): Promise<Peer> {
    const peer = await Peer.to(port);
    peer.send(`GET ${path} HTTP/1.1\r\nHost: test\r\n${headers.map((header) => `${header}\r\n`).join('')}\r\n`);
    return peer;
  }

  send(bytes: string): void {
    this.socket.write(bytes, 'latin1');
  }

  /** Waits until what came matches. Of a long text only what is new is searched for a string. */
  async sees(pattern: string | RegExp): Promise<void> {
    const { socket } = this;
    if (typeof pattern === 'string' ? this.text.includes(pattern) : pattern.test(this.text)) return;
    const closed = () => new Error(`closed before ${pattern} came; what did: ${this.text.slice(-2000)}`);
    if (socket.destroyed) throw closed();
    const seen = new Promise<void>((resolve, reject) => {
      let tail = typeof pattern === 'string' ? this.text.slice(-pattern.length) : '';
      const settle = (end: () => void) => {
        socket.off('data', onData).off('close', onClose);
        end();
      };
      const onData = (chunk: string) => {
        if (typeof pattern === 'string') tail += chunk;
        if (typeof pattern === 'string' ? tail.includes(pattern) : pattern.test(this.text)) settle(resolve);
        else if (typeof pattern === 'string') tail = tail.slice(-pattern.length);
      };
      const onClose = () => settle(() => reject(closed()));
      socket.on('data', onData).on('close', onClose);
    });
    await within(seen, () => `${pattern}; what came: ${this.text.slice(-2000)}`);
  }

  /** Waits until the connection is closed; returns all that came. */
  async closed(): Promise<string> {
    if (!this.socket.closed) await within(once(this.socket, 'close'), () => `the end; what came: ${this.text.slice(-2000)}`);
    return this.text;
  }

  get status(): number {
    return Number(this.text.slice(9, 12));
  }

  get head(): string {
    return this.text.slice(0, this.text.indexOf('\r\n\r\n'));
  }

  /** The body, with chunk framing taken off where there is any (RFC 9112 section 7.1). */
  get body(): string {
    const raw = this.text.slice(this.text.indexOf('\r\n\r\n') + 4);
    if (!/\r\ntransfer-encoding: chunked/i.test(this.head)) return raw;
    let body = '';
    for (let at = 0; at < raw.length; ) {
      const lineEnd = raw.indexOf('\r\n', at);
      if (lineEnd < 0) break;
      const size = Number.parseInt(raw.slice(at, lineEnd), 16);
      body += raw.slice(lineEnd + 2, lineEnd + 2 + size);
      at = lineEnd + 2 + size + 2;
    }
    return body;
  }

  /** The messages of a body that is NDJSON, as far as they are whole. */
  get lines(): Line[] {
    const whole = this.body.slice(0, this.body.lastIndexOf('\n') + 1);
    return Buffer.from(whole, 'latin1')
      .toString()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Line);
  }

  /** Whether the body came to its orderly end: the last chunk. */
  get isComplete(): boolean {
    return this.text.endsWith('\r\n0\r\n\r\n');
  }

  /** Lets every peer of a test leave, also where the test failed. */
  static leaveAll(): void {
    for (const peer of Peer.all) peer.leave();
    Peer.all.clear();
  }

  leave(): void {
    this.socket.destroy();
  }

  reset(): void {
    this.socket.resetAndDestroy();
  }
}
