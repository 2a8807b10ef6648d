import { setImmediate as nextTurn } from 'node:timers/promises';
import { isEnd } from '../message/end.js';
import type { StoredMessage, TextMessage } from '../message/message.js';
import type { Start } from '../message/position.js';
import type { Replay } from '../pubsub/replay.js';
import { Mark, type ReplayItem } from '../pubsub/replay-item.js';
import type { EndReason } from '../stats/end-reason.js';
import type { RuleMeasures } from '../stats/measures.js';
import type { Transport } from '../transport/transport.js';
import type { Encoder } from './encoder.js';
import { type EndNotice, retryMsAfter, toldBy } from './end-notice.js';
import type { KeepAlive } from './keep-alive.js';
import { EncodedItem, type Entry, SendQueue } from './send-queue.js';
import type { Buffered, TotalBufferLimit } from './total-buffer-limit.js';

/** How many messages of a queue are sent in one turn of the event loop. */
const mostAtOnce = 256;

/**
 * The time between the message that tells a failure and the incomplete end, in milliseconds. Chromium drops what it has not passed on to the
 * page when it sees that a body is incomplete.
 */
const readMs = 250;

function endIncomplete(transport: Transport): void {
  transport.end(false);
}

/** What the senders of all connections share. */
export interface SenderContext {
  /** Unsent bytes that one connection may hold, in its transport and in its queue each. */
  readonly bufferBytes: number;
  readonly totalBufferLimit: TotalBufferLimit;
  readonly keepAlive: KeepAlive;
  /** A message of so many bytes was written, without HTTP's framing. */
  onSent(bytes: number): void;
}

/**
 * - `opening`: subscribed, the head is not sent yet. `open()` leads to `replaying`.
 * - `replaying`: the send queue goes out, as fast as the client reads: history, or what a slow client has not taken. `flush()` leads to
 *   `live` when the queue is empty.
 * - `live`: messages are written as they come, without a queue; what the client does not read waits in the transport. `beginQueue()` leads
 *   back to `replaying`.
 * - `ending`: what waits goes out, and nothing more is accepted; `end()` leads here. `finish()`, or the
 *   client that leaves, leads to `ended`.
 * - `ended`: the transport ends, or is closed.
 */
export type State = 'opening' | 'replaying' | 'live' | 'ending' | 'ended';

/**
 * Sends the messages of a connection: straight to the transport, or by way of the send queue, under a byte bound. `Connection`, which extends
 * it, decides what is sent and when it ends.
 */
export abstract class Sender<Context extends SenderContext> implements Buffered {
  /** Why the connection ended; undefined while it is open. */
  reason: EndReason | undefined = undefined;
  transport: Transport | undefined = undefined;
  /** Those of the rule of its first feed. */
  measures: RuleMeasures | undefined = undefined;
  /** The beat of the last write. */
  sentBeat = 0;
  protected state: State = 'opening';
  /** What waits for the client, beside the bytes in the transport; undefined while the connection is live. */
  protected queue: SendQueue | undefined = new SendQueue();
  /** What its source failed with, or the broker in a replay, or what else its client is told at the end. */
  protected failure: EndNotice | undefined = undefined;
  /** Messages that were written. */
  messages = 0;
  /** Their bytes as they were sent, without HTTP's framing. */
  bytes = 0;
  /** The offset of the last one of a feed; 0 before the first. */
  sentOffset = 0;
  private isContinuing = false;
  /** The encoder's last emission that was sent here. */
  private emission = 0;

  constructor(
    readonly context: Context,
    private readonly encoder: Encoder,
  ) {}

  get isHandedOver(): boolean {
    return this.transport?.isHandedOver ?? false;
  }

  /** The name of its format. */
  get format(): string {
    return this.encoder.format.name;
  }

  abstract end(reason?: EndReason): void;
  /** Everything has been sent, and the client takes more: a source that waits can go on. */
  protected abstract onFlushed(): void;
  /** The last message of a feed has been written. */
  protected abstract onFeedEnded(feed: string | undefined): void;
  /** Replays the messages of feeds that were dropped here, since history has them. */
  protected abstract replayFrom(startOf: (feed: string) => Start): Promise<Replay>;
  protected abstract onFailed(error: unknown): void;

  /** Bytes that wait for its client. */
  get bufferedBytes(): number {
    return (this.transport?.waitingBytes ?? 0) + (this.queue?.waitingBytes ?? 0);
  }

  /** Whether a source that can wait should. */
  get isFull(): boolean {
    return this.queue !== undefined || (this.transport?.isFull ?? true);
  }

  /** @throws what is answered while the head is not sent; a client that may come back is told in band instead, since such an answer is final */
  throwFailure(): void {
    const { failure, reason } = this;
    if (failure && (failure.isFinal || reason !== 'disconnected')) throw failure.error;
  }

  /** Sends some bytes without meaning, so that the client and the proxies before it keep the connection open. */
  sendHeartbeat(): void {
    this.sentBeat = this.context.keepAlive.beat;
    if (this.transport) this.encoder.sendHeartbeat(this.transport);
  }

  /** Sends a message of a feed, or queues it. */
  protected sendMessage(message: StoredMessage | TextMessage): void {
    if (this.queue) this.enqueue(message, this.queue);
    else if (!this.endIfSlow()) this.write(message);
  }

  /** Sends the newest message of a conflated feed, or queues it in the place of the one before. */
  protected sendNewest(message: StoredMessage): void {
    if (!this.queue && !this.transport?.isFull) {
      this.write(message);
      return;
    }
    const queue = this.beginQueue();
    const before = queue.bytes;
    queue.pushNewest(message);
    this.context.totalBufferLimit.add(this, Math.max(0, queue.bytes - before));
  }

  /** Sends the last message of a feed: by way of the queue, where the end of a feed is found in a replay as well. */
  protected sendEnd(message: StoredMessage): void {
    this.enqueue(message, this.beginQueue());
    this.flush();
  }

  /**
   * Sends an item of a source, or queues it.
   *
   * @throws TypeError when the format cannot express it
   */
  protected sendItem(item: unknown): void {
    const { encoder, queue } = this;
    if (!queue && this.endIfSlow()) return;
    encoder.encodeItem(item, this.emission);
    this.emission = encoder.emission;
    if (encoder.bytes === 0) return;
    if (queue) this.enqueue(encoder.item, queue);
    else this.noteSent(encoder.send(this.transport as Transport));
  }

  /** From now on everything is queued, until the queue is empty again. */
  protected beginQueue(): SendQueue {
    if (this.state === 'live') this.state = 'replaying';
    this.queue ??= new SendQueue();
    return this.queue;
  }

  /** Whether the connection takes anything more. */
  protected get isAccepting(): boolean {
    return this.state !== 'ending' && this.state !== 'ended';
  }

  /** Sends what waits, as far as the client takes it; reads on where history goes on. */
  protected flush(): void {
    const { queue, transport } = this;
    if (!transport || this.state === 'ended') return;
    if (queue) {
      transport.cork(); // many small messages make one system call
      let count = 0;
      for (let entry = this.nextEntry(); entry !== undefined; entry = count < mostAtOnce ? this.nextEntry() : undefined) {
        this.writeEntry(entry, transport);
        count += 1;
      }
      transport.uncork();
      const hasMore = queue.needsRead || (count === mostAtOnce && !queue.isEmpty);
      if (hasMore && this.queue === queue && !transport.isFull) void this.continueFlush(queue);
      if (!queue.isEmpty || this.queue !== queue) return;
      this.queue = undefined;
    }
    if (this.reason !== undefined) this.finish();
    else this.state = 'live';
    if (transport.isFull) return; // the last of the queue has filled it: a source waits until it has drained
    this.context.totalBufferLimit.delete(this);
    if (this.reason === undefined) this.onFlushed();
  }

  /** Ends the response in the way that fits the reason: in good order only where everything was sent. */
  finish(): void {
    const { transport, reason, queue, encoder } = this;
    if (this.state === 'ended') return;
    this.state = 'ended';
    this.queue = undefined;
    if (!transport) return;
    if (reason === 'slow' || reason === 'stalled') {
      transport.destroy();
      return;
    }
    const { failure } = this;
    const isComplete = reason !== 'error' && (queue?.isEmpty ?? true);
    const retryMs = retryMsAfter(reason, failure);
    if (retryMs !== undefined) encoder.sendRetry(retryMs, transport);
    const isTold = failure !== undefined && encoder.sendFailure(toldBy(failure), transport);
    if (!isTold || isComplete) encoder.end(transport, isComplete);
    else setTimeout(endIncomplete, readMs, transport).unref();
  }

  private enqueue(entry: Entry, queue: SendQueue): void {
    const { transport, context } = this;
    const before = queue.bytes;
    queue.push(entry);
    if ((this.state === 'opening' || queue.hasReplay) && queue.messageBytes > context.bufferBytes / 2) queue.deferMessages();
    // What waits for the server, not for the client, counts against the bound of all connections alone.
    if (transport?.isFull && transport.exceeds(context.bufferBytes, queue.slowBytes)) this.end('slow');
    else context.totalBufferLimit.add(this, Math.max(0, queue.bytes - before));
  }

  /** Ends a connection whose transport has more bytes waiting than it may; returns whether it did. */
  private endIfSlow(): boolean {
    if (!this.transport?.exceeds(this.context.bufferBytes)) return false;
    this.end('slow');
    return true;
  }

  private nextEntry(): Entry | ReplayItem | undefined {
    return this.state === 'ended' || this.transport?.isFull ? undefined : this.queue?.shift();
  }

  /** Reads what is to be sent next, where it has to be read, and sends on in another turn of the event loop. */
  private async continueFlush(queue: SendQueue): Promise<void> {
    if (this.isContinuing) return;
    this.isContinuing = true;
    try {
      if (queue.needsRead) await queue.read((startOf) => this.replayFrom(startOf));
      await nextTurn(); // other connections get theirs
    } catch (error) {
      this.failure = { error };
      this.onFailed(error);
      this.end('error');
      this.finish(); // the rest cannot be read: the response ends incomplete
    }
    this.isContinuing = false;
    this.flush();
  }

  private writeEntry(entry: Entry | ReplayItem, transport: Transport): void {
    if (entry instanceof EncodedItem) {
      this.noteSent(this.encoder.sendItem(entry, transport));
    } else if (entry instanceof Mark) {
      this.encoder.sendMark(entry, transport);
    } else {
      this.write(entry);
      if (isEnd(entry)) this.onFeedEnded(entry.feed);
    }
  }

  private write(message: TextMessage): void {
    const { encoder } = this;
    encoder.encode(message, this.emission);
    this.emission = encoder.emission;
    if (encoder.bytes === 0) return; // a chunk without bytes would end the body
    this.noteSent(encoder.send(this.transport as Transport));
    this.sentOffset = (message as Partial<StoredMessage>).offset ?? this.sentOffset; // what is not stored has none
  }

  /** A message was written. */
  private noteSent(takesMore: boolean): void {
    const { context } = this;
    const { sentBytes } = this.encoder;
    this.sentBeat = context.keepAlive.beat;
    this.messages += 1;
    this.bytes += sentBytes;
    context.onSent(sentBytes);
    if (!takesMore) context.totalBufferLimit.add(this, sentBytes);
  }
}
