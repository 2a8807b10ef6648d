import { AckPolicy, DeliverPolicy, type JetStreamManager, ReplayPolicy } from '@nats-io/jetstream';
import { createInbox, type Msg, type NatsConnection, nanos } from '@nats-io/transport-node';

/** A message as a consumer delivers it. */
export interface Delivery {
  readonly subject: string;
  readonly data: Uint8Array;
  readonly sequence: number;
  /** How many messages the consumer has delivered, including this one. */
  readonly delivered: number;
  /** In milliseconds since 1970. */
  readonly time: number;
  /** How many messages of the stream follow. */
  readonly pending: number;
}

/** What is consumed. */
interface ConsumerTarget {
  readonly stream: string;
  /** The sequence of the first message. */
  readonly from: number;
  /** Beginning of the subject to which messages are sent. Default: the client's. */
  readonly inboxPrefix: string | undefined;
  /** How often the consumer sends a heartbeat where it has nothing to send, in milliseconds. */
  readonly heartbeatMs: number;
}

/** What hears of a consumer. */
interface ConsumerListener {
  /** Something has arrived: a message, or the consumer's heartbeat. */
  onHeard?(): void;
  deliver(delivery: Delivery): void;
  /** All that the stream had a moment ago has been delivered. */
  onIdle?(): void;
  /** The consumer has ended, or messages were lost on the way. */
  fail(cause: Error): void;
}

interface Consumer {
  /** How many messages the stream had when this began. */
  readonly pending: number;
  stop(): void;
}

/** Delivers the messages of a stream from a sequence on, in order. */
export async function consume(
  connection: NatsConnection,
  manager: JetStreamManager,
  { stream, from, inboxPrefix, heartbeatMs }: ConsumerTarget,
  listener: ConsumerListener,
): Promise<Consumer> {
  let delivered = 0;
  const inbox = createInbox(inboxPrefix);
  const subscription = connection.subscribe(inbox, {
    callback: (error, message) => {
      if (error) return listener.fail(error);
      listener.onHeard?.();
      if (message.subject === inbox) return answer(connection, message, delivered, listener);
      const delivery = deliveryOf(message);
      delivered += 1;
      if (delivery.delivered === delivered) listener.deliver(delivery);
      else listener.fail(new Error(`message ${delivered} of the consumer did not arrive`));
    },
  });
  try {
    const { num_pending, name } = await manager.consumers.add(stream, {
      deliver_subject: inbox,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: from,
      ack_policy: AckPolicy.None,
      replay_policy: ReplayPolicy.Instant,
      flow_control: true,
      idle_heartbeat: nanos(heartbeatMs),
      mem_storage: true,
      num_replicas: 1,
    });
    const stop = () => {
      subscription.unsubscribe();
      manager.consumers.delete(stream, name).catch(() => {}); // NATS deletes a consumer without a listener
    };
    return { pending: num_pending, stop };
  } catch (error) {
    subscription.unsubscribe();
    throw error;
  }
}

/** Answers the server's messages about the consumer: a heartbeat, a flow-control request, or its end. */
function answer(connection: NatsConnection, message: Msg, delivered: number, { onIdle, fail }: ConsumerListener): void {
  const { headers } = message;
  const stalled = headers?.get('Nats-Consumer-Stalled');
  if (headers?.code !== 100) fail(new Error(`the consumer ended: ${headers?.code} ${headers?.description}`));
  else if (stalled) connection.publish(stalled);
  else if (!message.respond() && Number(headers.get('Nats-Last-Consumer')) === delivered) onIdle?.();
}

/** Reads a message's reply subject (ADR 15 of NATS): in its older form, or with a domain, an account and a token. */
function deliveryOf({ subject, data, reply = '' }: Msg): Delivery {
  const tokens = reply.split('.');
  const at = tokens.length === 9 ? 5 : 7;
  return {
    subject,
    data,
    sequence: Number(tokens[at]),
    delivered: Number(tokens[at + 1]),
    time: Number(tokens[at + 2]?.slice(0, -6)),
    pending: Number(tokens[at + 3]),
  };
}
