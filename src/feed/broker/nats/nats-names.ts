import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import * as v from 'valibot';
import type { NatsSettings } from './nats.options.js';
import { consume, type Delivery } from './nats-consumer.js';
import { wrongLastSequence } from './nats-publisher.js';
import { isMadeByAnother, isUnheard, mostTries, retryMs, streamNotFound } from './nats-stream.js';

/** How long NATS may take to store a name, or to send the next ones, in milliseconds. */
const answerMs = 5000;
/** How long after its time a name is deleted, in milliseconds: the clocks of nodes may differ by as much. */
const graceMs = 3_600_000;
/** How many names are deleted behind one reading at most, and how many at a time. */
const deletedAtMost = 1000;
const deletedAtOnce = 50;
/** Shows that the stream is not another application's. */
const description = 'nestjs-feed: names that are remembered';

const entry = v.pipe(v.string(), v.parseJson(), v.object({ name: v.string(), until: v.number() }));

/**
 * Names that are remembered, over one connection. They are in a stream of their own, which no bound of history applies to: one message for
 * each name, on a subject with the name's hash.
 */
export class NatsNames {
  private readonly stream: string;
  private readonly client: JetStreamClient;
  /** Resolves when the stream is there. */
  private preparing: Promise<void> | undefined = undefined;

  constructor(
    private readonly connection: NatsConnection,
    private readonly settings: NatsSettings,
  ) {
    this.stream = `${settings.prefix}-remembered`;
    this.client = jetstream(connection, { timeout: answerMs });
  }

  async remember(name: string, until: number): Promise<void> {
    const manager = await this.client.jetstreamManager(false);
    for (let tries = 1; ; tries += 1) {
      this.preparing ??= this.prepare(manager);
      try {
        await this.preparing;
        await this.store(manager, name, until);
        return;
      } catch (error) {
        this.preparing = undefined; // the stream may have been deleted
        // NATS knows a stream that another node creates before that takes messages.
        if (!isUnheard(error) || tries === mostTries) throw error;
      }
      await sleep(retryMs);
    }
  }

  async all(): Promise<Map<string, number>> {
    const manager = await this.client.jetstreamManager(false);
    const names = new Map<string, number>();
    const over: number[] = [];
    const now = Date.now();
    await this.readAll(manager, ({ data, sequence }) => {
      const { name, until } = entryOf(data) ?? { name: '', until: 0 };
      if (until > now) names.set(name, until);
      else if (until < now - graceMs && over.length < deletedAtMost) over.push(sequence);
    });
    this.delete(manager, over).catch(() => {}); // another reading does
    return names;
  }

  /** Stores a name unless it is there until a later time. NATS is told what this goes by, and takes it only where that holds. */
  private async store(manager: JetStreamManager, name: string, until: number): Promise<void> {
    const text = JSON.stringify({ name, until });
    const subject = `${this.stream}.${createHash('sha256').update(JSON.stringify(name)).digest('base64url')}`;
    for (let lastSubjectSequence = 0; ; ) {
      try {
        await this.client.publish(subject, text, { expect: { lastSubjectSequence } });
        return;
      } catch (error) {
        if (!(error instanceof JetStreamApiError) || error.code !== wrongLastSequence) throw error;
        const stored = await manager.streams.getMessage(this.stream, { last_by_subj: subject });
        if (stored && (entryOf(stored.data)?.until ?? 0) >= until) return;
        if ((stored?.seq ?? 0) === lastSubjectSequence) throw error;
        lastSubjectSequence = stored?.seq ?? 0;
      }
    }
  }

  /** Creates the stream where there is none. */
  private async prepare(manager: JetStreamManager): Promise<void> {
    const { stream: name, settings } = this;
    const { streams } = manager;
    for (let tries = 1; ; tries += 1) {
      try {
        const { config } = await streams.info(name);
        if (config.description !== description)
          throw new Error(`the stream "${name}" belongs to another application: choose another prefix`);
        // An operator may have given it more.
        if (config.num_replicas < settings.replicas) await streams.update(name, { ...config, num_replicas: settings.replicas });
        return;
      } catch (error) {
        if (codeOf(error) !== streamNotFound) throw error;
      }
      try {
        await streams.add({
          name,
          subjects: [`${name}.*`],
          storage: StorageType.File,
          retention: RetentionPolicy.Limits,
          discard: DiscardPolicy.Old,
          max_msgs_per_subject: 1,
          num_replicas: settings.replicas,
          description,
        });
        return;
      } catch (error) {
        if (!isMadeByAnother(error) || tries === mostTries) throw error;
      }
      await sleep(retryMs);
    }
  }

  /** Reads what the stream has; nothing where there is none. */
  private async readAll(manager: JetStreamManager, note: (delivery: Delivery) => void): Promise<void> {
    let finish = () => {};
    let fail = (_: Error) => {};
    const finished = new Promise<void>((resolve, reject) => {
      finish = resolve;
      fail = reject;
    });
    finished.catch(() => {}); // it may fail before it is waited for
    const stall = setTimeout(() => fail(new Error(`no name arrives for ${answerMs} ms`)), answerMs);
    const target = { stream: this.stream, from: 1, inboxPrefix: this.settings.client.inboxPrefix, heartbeatMs: 1000 };
    let reached = 0;
    let isChecking = false;
    // Where names are stored meanwhile, a consumer may say too early that nothing follows: what has been replaced is behind then.
    const check = async () => {
      if (isChecking) return;
      isChecking = true;
      const { state } = await manager.streams.info(this.stream);
      isChecking = false;
      if (state.last_seq <= reached) finish();
    };
    const deliver = (delivery: Delivery) => {
      stall.refresh();
      reached = delivery.sequence;
      note(delivery);
      if (delivery.pending === 0) check().catch(fail);
    };
    try {
      // Idle: what should have followed has been deleted.
      const consumer = await consume(this.connection, manager, target, { deliver, onIdle: finish, fail });
      if (consumer.pending === 0) finish();
      await finished.finally(() => consumer.stop());
    } catch (error) {
      if (codeOf(error) !== streamNotFound) throw error;
    } finally {
      clearTimeout(stall);
    }
  }

  /** By their sequences: a name that is remembered again has another. */
  private async delete(manager: JetStreamManager, sequences: readonly number[]): Promise<void> {
    for (let n = 0; n < sequences.length; n += deletedAtOnce) {
      const some = sequences.slice(n, n + deletedAtOnce);
      await Promise.all(some.map((sequence) => manager.streams.deleteMessage(this.stream, sequence, false)));
    }
  }
}

/** Undefined for what another program has published. */
function entryOf(data: Uint8Array): v.InferOutput<typeof entry> | undefined {
  const { success, output } = v.safeParse(entry, Buffer.from(data).toString());
  return success ? output : undefined;
}

function codeOf(error: unknown): number | undefined {
  return error instanceof JetStreamApiError ? error.code : undefined;
}
