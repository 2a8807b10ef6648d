import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** What the proxy does with new connections. */
type Mode = 'passes' | 'refuses' | '502' | 'collects';

/** A TCP proxy that a client's connections go through, and that fails as networks do. */
export class FaultyProxy {
  private mode: Mode = 'passes';
  private readonly pairs = new Set<[client: Socket, server: Socket]>();
  /** Connections that came, also those that were refused. */
  connections = 0;
  /** The most that were open at once. */
  peak = 0;

  private constructor(
    private readonly server: Server,
    private target: number,
  ) {
    server.on('connection', (client) => this.accept(client));
  }

  static async to(target: number): Promise<FaultyProxy> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new FaultyProxy(server, target);
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get open(): number {
    return this.pairs.size;
  }

  /** Cuts what is open, in the middle of whatever is on its way. */
  cut(): void {
    for (const pair of [...this.pairs]) for (const socket of pair) socket.resetAndDestroy();
  }

  /** Nothing gets through what is open, and nobody is told: as a laptop that has slept, or a NAT that has forgotten. */
  stall(): void {
    for (const [client, server] of this.pairs) {
      client.unpipe().pause();
      server.unpipe().pause();
    }
  }

  /** What happens to new connections: they get through, are refused, are answered with 502, or their answers are collected until they end. */
  set(mode: Mode): void {
    this.mode = mode;
  }

  /** Leads to another server from now on. */
  lead(target: number): void {
    this.target = target;
  }

  async close(): Promise<void> {
    const closed = once(this.server.close(), 'close');
    this.cut();
    await closed;
  }

  private accept(client: Socket): void {
    this.connections += 1;
    client.on('error', () => {});
    if (this.mode === 'refuses') {
      client.resetAndDestroy();
      return;
    }
    if (this.mode === '502') {
      client.once('data', () => client.end('HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'));
      return;
    }
    const server = connect(this.target, '127.0.0.1');
    const pair: [Socket, Socket] = [client, server];
    this.pairs.add(pair);
    this.peak = Math.max(this.peak, this.pairs.size);
    server.on('error', () => {});
    const end = () => {
      this.pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    client.on('end', end).on('close', end); // a client that leaves: none sends on half a connection
    client.pipe(server);
    if (this.mode !== 'collects') {
      server.pipe(client);
      server.on('close', () => (client.writableEnded ? undefined : end()));
      return;
    }
    // The head gets through at once, the body when it is complete.
    let all = Buffer.alloc(0);
    let isHead = true;
    server.on('data', (chunk: Buffer) => {
      all = Buffer.concat([all, chunk]);
      const end = all.indexOf('\r\n\r\n');
      if (isHead && end >= 0) {
        isHead = /content-length/i.test(all.toString('latin1', 0, end));
        const ready = isHead ? all.length : end + 4;
        client.write(all.subarray(0, ready));
        all = all.subarray(ready);
      }
    });
    server.on('end', () => client.end(all));
  }
}
