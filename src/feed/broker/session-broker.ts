import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerUnavailableError, MessageRejectedError, reasonOf } from '../errors/broker.errors.js';
import { backoff } from '../time/backoff.js';
import { Broker, type BrokerContext } from './broker.js';
import { Outage } from './outage.js';

/** How long a start waits for the server, in milliseconds. */
const startMs = 6000;
/** The delays before the connection is tried again. */
const reconnectDelays = { minMs: 150, maxMs: 3000 };

/** One connection to a server, from its opening to its end. It never reconnects. */
export interface ServerSession {
  /** Resolves with the reason when it has ended. */
  readonly ended: Promise<Error>;
  end(reason: Error): void;
}

/** A broker with a server: it has one session after the other, until it is closed. */
export abstract class SessionBroker<Session extends ServerSession> extends Broker {
  protected readonly outage: Outage;
  /** Undefined without a connection. */
  protected session: Session | undefined = undefined;
  /** Why there is none. */
  private reason = new Error('no answer yet');
  /** Why the session is not asked for anything at the moment; undefined while it answers. */
  protected silence: Error | undefined = undefined;
  protected readonly closing = new AbortController();
  private running: Promise<void> | undefined = undefined;

  /** @param server its name, as the subject of a sentence */
  constructor(
    private readonly server: string,
    protected readonly context: BrokerContext,
  ) {
    super();
    this.outage = new Outage(server, context.log);
  }

  get unavailableSince(): number | undefined {
    return this.outage.since;
  }

  get unavailableReason(): string | undefined {
    return this.outage.reason;
  }

  /** Connects, and reconnects until the broker is closed. Resolves after the first attempt, or after some seconds. */
  async start(): Promise<this> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, startMs);
      this.running = this.run(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    return this;
  }

  async close(): Promise<void> {
    const reason = new Error('the broker is closed');
    this.closing.abort(reason);
    this.session?.end(reason);
    await this.running;
  }

  /** @throws the reason why there is no session */
  protected abstract open(signal: AbortSignal): Promise<Session>;

  /**
   * Begins to deliver messages over a session.
   *
   * @returns whether that has succeeded; if not, the session ends
   */
  protected abstract begin(session: Session): Promise<boolean>;

  /** @throws BrokerUnavailableError, MessageRejectedError */
  protected async withSession<T>(work: (session: Session) => Promise<T>): Promise<T> {
    try {
      if (!this.session || this.silence) throw this.unavailable(this.silence ?? this.reason, true);
      return await work(this.session);
    } catch (cause) {
      if (cause instanceof MessageRejectedError || cause instanceof BrokerUnavailableError) throw cause;
      throw this.unavailable(cause, this.isNotStored(cause));
    }
  }

  /** Whether an error proves that a message was not stored, and will not be. */
  protected isNotStored(_cause: unknown): boolean {
    return false;
  }

  protected unavailable(cause: unknown = this.reason, isNotStored = false): BrokerUnavailableError {
    return new BrokerUnavailableError(`${this.server} is unavailable: ${reasonOf(cause)}`, { cause, isNotStored });
  }

  private async run(onAttempt: () => void): Promise<void> {
    const { signal } = this.closing;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      try {
        const session = await this.open(signal);
        this.session = session;
        if (signal.aborted) session.end(signal.reason);
        if (await this.begin(session)) {
          attempt = 0;
          onAttempt();
        }
        this.reason = await session.ended;
      } catch (error) {
        this.reason = error as Error;
      }
      this.session = undefined;
      this.silence = undefined;
      if (!signal.aborted) this.outage.note(reasonOf(this.reason));
      onAttempt();
      await sleep(backoff(attempt, reconnectDelays), undefined, { signal }).catch(() => {});
    }
  }
}
