import type { NatsConnection } from '@nats-io/transport-node';
import type { NatsSettings } from './nats.options.js';

/** Texts that NATS passes on and does not store, over one session. Their subjects are beside those of the stream. */
export class NatsSignals {
  constructor(
    private readonly connection: NatsConnection,
    private readonly settings: NatsSettings,
  ) {}

  send(name: string, text: string): void {
    if (!this.connection.isClosed()) this.connection.publish(this.subjectOf(name), text);
  }

  listen(name: string, hear: (text: string) => void): void {
    this.connection.subscribe(this.subjectOf(name), {
      callback: (error, message) => {
        if (!error) hear(message.string());
      },
    });
  }

  /** No token has a dot: a name is the id of a node. */
  private subjectOf(name: string): string {
    return `${this.settings.prefix}-signals.${name}`;
  }
}
