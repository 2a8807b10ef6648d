import type { Feed } from '../lib/feed.js';
import type { RoamingCrowd } from '../lib/roaming.js';
import { sleep, until } from '../lib/waits.js';

/** How many messages one request has at most, and how many requests are under way at a time. */
const [mostAtOnce, mostRequests] = [100, 16];
/** How long messages are collected for a request, in milliseconds. */
const collectMs = 5;
/** Which share of the requests is cut off, after how many milliseconds at most, so that their answers are not known. */
const [cutShare, mostCutMs] = [0.05, 30];
/** Which share of the acknowledged messages is published once more, as by a publisher that has not got the answer. */
const doubtShare = 0.2;
/** How long a message is published again at most, for less than keys are known, and how long is waited in between, in milliseconds. */
const [patienceMs, pauseMs] = [240_000, 200];

interface Publication {
  readonly feed: Feed;
  readonly data: string;
  readonly key: string;
  readonly givesUpAt: number;
  /** What it was acknowledged with; undefined before that. */
  id: string | undefined;
  settle(isAcknowledged: boolean): void;
}

/**
 * Publishes messages with keys as publishers do that must not lose anything: through any node, many at once, in any order, and each of them
 * again until it is acknowledged, some also after that.
 */
export class Repeater {
  /** Times that a message was published again. */
  repetitions = 0;
  /** Times that a message was acknowledged with another id than before. */
  otherIds = 0;
  /** Why messages were refused for good, and how often. */
  readonly refused = new Map<string, number>();
  #waiting: Publication[] = [];
  #requests = 0;
  /** Messages that wait until they are published again. */
  #resting = 0;
  #collecting: NodeJS.Timeout | undefined = undefined;

  constructor(private readonly crowd: RoamingCrowd) {}

  /** Resolves with whether it was acknowledged. */
  publish(feed: Feed, data: string): Promise<boolean> {
    return new Promise((settle) => {
      const givesUpAt = performance.now() + patienceMs;
      this.#add({ feed, data, key: `${feed.name} ${Number.parseInt(data, 10)}`, givesUpAt, id: undefined, settle });
    });
  }

  /** Resolves once nothing is to be published again. */
  async settled(): Promise<void> {
    await until(() => this.#waiting.length + this.#requests + this.#resting === 0, patienceMs);
  }

  #add(publication: Publication): void {
    this.#waiting.push(publication);
    this.#collecting ??= setTimeout(() => this.#sendAll(), collectMs);
  }

  #sendAll(): void {
    this.#collecting = undefined;
    while (this.#waiting.length > 0 && this.#requests < mostRequests) {
      const some = Array.from({ length: Math.min(mostAtOnce, this.#waiting.length) }, () => this.#takeOne());
      void this.#send(some);
    }
  }

  /** Takes one that waits, at random. */
  #takeOne(): Publication {
    const waiting = this.#waiting;
    const at = Math.floor(Math.random() * waiting.length);
    const taken = waiting[at];
    const last = waiting.pop() as Publication;
    if (at < waiting.length) waiting[at] = last;
    return taken;
  }

  async #send(some: readonly Publication[]): Promise<void> {
    this.#requests += 1;
    const cutMs = Math.random() < cutShare ? Math.ceil(Math.random() * mostCutMs) : undefined;
    const messages = some.map(({ feed, data, key }) => ({ feed: feed.name, data, key }));
    const results = await this.crowd.anyNode().publishAll(messages, cutMs);
    this.#requests -= 1;
    for (const [n, publication] of some.entries()) {
      const result = results?.[n];
      if (result && 'id' in result) this.#acknowledge(publication, result.id);
      else if (result && result.statusCode !== 503) this.#refuse(publication, result.code);
      else if (performance.now() > publication.givesUpAt) publication.settle(false);
      else void this.#repeat(publication);
    }
    this.#sendAll();
  }

  #acknowledge(publication: Publication, id: string): void {
    if (publication.id !== undefined && publication.id !== id) this.otherIds += 1;
    publication.id = id;
    publication.settle(true);
    if (Math.random() < doubtShare) void this.#repeat(publication);
  }

  #refuse({ settle }: Publication, code: string): void {
    this.refused.set(code, (this.refused.get(code) ?? 0) + 1);
    settle(false);
  }

  async #repeat(publication: Publication): Promise<void> {
    this.repetitions += 1;
    this.#resting += 1;
    await sleep(Math.random() * pauseMs);
    this.#resting -= 1;
    this.#add(publication);
  }
}
