import type { ServerResponse } from 'node:http';
import { checkMayRead } from '../auth/grant.js';
import type { Broker } from '../broker/broker.js';
import { type AnyResponse, hijack, rawOf } from '../http/adapter.js';
import type { FeedRequest } from '../http/feed-request.js';
import { withErrorHead } from '../http/head.js';
import { isUnchanged, setHistoryHead, writeHistory } from '../http/history-answer.js';
import type { HistoryRequest } from '../http/history-request.js';
import type { Admission } from '../limits/admission.js';
import { type HistoryPage, readHistory } from '../pubsub/history.js';
import { beginOpening, endOpening } from '../transport/pipelining.js';
import type { Poll } from './poll.js';
import type { Registry } from './registry.js';

/** Answers requests for feeds in JSON: with what is stored of them, at once, or as soon as there is something. */
export class FeedAnswerer {
  /** @param stallMs how long the bytes of an answer may wait without any progress, in milliseconds; 0 for no bound */
  constructor(
    private readonly broker: Broker,
    private readonly admission: Admission,
    private readonly registry: Registry,
    private readonly stallMs: number,
  ) {}

  /** @throws FeedException as the route answers it */
  async answer(request: FeedRequest, response: AnyResponse, feeds: readonly string[], wanted: HistoryRequest): Promise<void> {
    // Whether the client is still there is known once its turn has come.
    if (!(await beginOpening(request.raw, rawOf(response)))) {
      hijack(response);
      return;
    }
    endOpening(request.raw);
    try {
      checkMayRead(request, feeds);
      if (wanted.mode === 'poll' && !request.isHead) await this.poll(request, response, feeds, wanted);
      else this.send(request, response, await this.once(request, feeds, wanted), true);
    } catch (error) {
      const rejection = this.admission.rejectionOf(error);
      this.registry.router.measures.noteRefusal(rejection, feeds[0]);
      throw withErrorHead(rejection, response);
    }
  }

  private async once(request: FeedRequest, feeds: readonly string[], { startOf, limit }: HistoryRequest): Promise<HistoryPage> {
    const { admission, broker } = this;
    admission.admitOnce(request);
    admission.beginWaiting(request);
    try {
      const page = await readHistory(broker, feeds, startOf, limit);
      request.checkGrant();
      return page;
    } finally {
      admission.intake.end(request);
    }
  }

  private async poll(request: FeedRequest, response: AnyResponse, feeds: readonly string[], wanted: HistoryRequest): Promise<void> {
    const { admission, registry } = this;
    const raw = rawOf(response);
    const client = admission.admit(request, registry.size);
    registry.checkRoom(feeds);
    const poll = registry.makePoll([...feeds], client);
    poll.waiting = raw;
    let page: HistoryPage;
    try {
      page = await this.begin(poll, wanted);
      poll.throwFailure(); // it may have been ended meanwhile
      request.checkGrant();
    } catch (error) {
      registry.discard(poll);
      throw error;
    }
    if (!isEmpty(page) || raw.destroyed) registry.discard(poll);
    else {
      raw.setHeader('Feed-Connection', poll.id);
      poll.begin(raw, wanted.waitMs);
      page = await this.wait(request, poll, page, wanted.limit);
    }
    if (poll.reason === 'drained' && request.raw.httpVersionMajor === 1) raw.setHeader('Connection', 'close');
    this.send(request, response, page, false);
  }

  /** Subscribes a poll before history is read, so that nothing is missed between the two. */
  private async begin(poll: Poll, { startOf, limit }: HistoryRequest): Promise<HistoryPage> {
    const { admission, broker, registry } = this;
    admission.beginWaiting(poll);
    try {
      await registry.router.subscribeLive(poll, poll.feeds);
      return await readHistory(broker, poll.feeds, startOf, limit);
    } finally {
      admission.intake.end(poll);
    }
  }

  private async wait(request: FeedRequest, poll: Poll, begun: HistoryPage, limit: number): Promise<HistoryPage> {
    let page = begun;
    try {
      while (isEmpty(page)) {
        await poll.news();
        poll.throwFailure();
        if (poll.reason !== undefined) return page;
        const { position } = page;
        page = await readHistory(this.broker, poll.feeds, () => position, limit);
      }
      poll.throwFailure();
      request.checkGrant();
      poll.end('completed');
      return page;
    } catch (error) {
      poll.end('error');
      throw error;
    }
  }

  private send({ raw: request }: FeedRequest, response: AnyResponse, page: HistoryPage, isCached: boolean): void {
    hijack(response);
    const raw = rawOf(response);
    if (raw.destroyed) return;
    setHistoryHead(raw, page, isCached);
    if (isCached && isUnchanged(request, raw)) {
      raw.statusCode = 304;
      raw.end();
      return;
    }
    writeHistory(raw, page);
    if (raw.writableLength > 0) this.bound(raw);
  }

  /** What the client has not taken of an answer counts against the bound of all connections, and does not wait for ever. */
  private bound(response: ServerResponse): void {
    const { totalBufferLimit } = this.registry;
    const answer = {
      get bufferedBytes() {
        return response.writableLength;
      },
      end: () => void response.destroy(),
    };
    totalBufferLimit.add(answer, response.writableLength);
    response.once('close', () => totalBufferLimit.delete(answer));
    if (this.stallMs > 0) response.setTimeout(this.stallMs, answer.end);
  }
}

/** Whether there is nothing to tell. */
function isEmpty({ messages, isReset, ended }: HistoryPage): boolean {
  return messages.length === 0 && !isReset && ended === undefined;
}
