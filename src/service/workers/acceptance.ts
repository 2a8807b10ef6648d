import type { Server as HttpServer } from 'node:http';
import { type ListenOptions, Server } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Logger } from '@nestjs/common';
import { pausedServers } from '../../feed/transport/paused-servers.js';

/**
 * The longest that is waited for a turn of the event loop in which no client comes, in milliseconds. Node accepts one in a turn: after a turn
 * without one, none waits in the kernel's queue.
 */
const mostMs = 5000;

/** After how long a server that could not listen again tries to, in milliseconds. */
const againMs = 1000;

/** Has a server that serves its connections accept no new ones, and accept again. */
export class Acceptance {
  private wanted = true;
  private hasCome = false;

  /** @param options those with which it listens */
  constructor(
    private readonly server: HttpServer,
    private readonly options: ListenOptions,
  ) {
    server.prependListener('connection', () => {
      this.hasCome = true;
    });
    server.on('listening', () => {
      if (!this.wanted) void this.pause();
      else pausedServers.delete(server);
    });
    server.on('error', (error) => {
      if (!this.wanted || server.listening) return;
      new Logger(Acceptance.name).warn(`Cannot accept connections, and tries again in ${againMs} ms: ${error.message}`);
      setTimeout(() => this.resume(), againMs).unref();
    });
    const close = server.close.bind(server);
    // That of a server which does not listen would not wait for its connections.
    server.close = (onClosed) => (server.listening ? close(onClosed) : this.close(onClosed));
  }

  /** Closes the listening socket, once what has come is accepted: the kernel resets what waits in the queue of a socket that is closed. */
  async pause(): Promise<void> {
    this.wanted = false;
    const begun = performance.now();
    do {
      this.hasCome = false;
      await nextTurn();
      await nextTurn();
    } while (this.hasCome && !this.wanted && performance.now() - begun < mostMs);
    // Not that of HTTP, which ends idle connections and the time limits of requests.
    if (this.wanted || !this.server.listening) return;
    pausedServers.add(this.server);
    Server.prototype.close.call(this.server);
  }

  resume(): void {
    this.wanted = true;
    if (pausedServers.has(this.server) && !this.server.listening) this.server.listen(this.options);
  }

  private close(onClosed: (error?: Error) => void = () => {}): HttpServer {
    const { server } = this;
    server.closeIdleConnections();
    server.getConnections((_error, count) => {
      if (count > 0) server.once('close', onClosed);
      else onClosed();
    });
    return server;
  }
}
