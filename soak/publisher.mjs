import { until } from './until.mjs';

/** Posts under way at the most: a service that is dead must not pile up more. */
const maxPosts = 16;

/** How often posts that are due are begun, in milliseconds. */
const stepMs = 10;

/** The slow readers' feed: bytes of each message, and messages a second. */
const [bulkBytes, bulkRate] = [60_000, 8];

/** A number of bytes to make a message up to: most are short. */
const someBytes = () => 32 + Math.floor(Math.random() ** 4 * 4000);

/** Publishes numbered messages to the feeds of a crowd. */
export class Publisher {
  acknowledged = 0;
  #service;
  #crowd;
  #timer;
  #begun = 0;
  #bulkBegun = 0;
  #underWay = 0;

  constructor(service, crowd) {
    this.#service = service;
    this.#crowd = crowd;
  }

  start(rate) {
    const begunAt = performance.now();
    const due = (perSecond) => Math.floor(((performance.now() - begunAt) / 1000) * perSecond);
    this.#timer = setInterval(() => {
      const { bulk } = this.#crowd;
      if (this.#bulkBegun < due(bulkRate) && !bulk.isBusy) {
        this.#bulkBegun += 1;
        this.#post(bulk, bulkBytes);
      }
      while (this.#begun < due(rate) && this.#underWay < maxPosts) {
        const feed = this.#crowd.freeFeed();
        if (!feed) return;
        this.#begun += 1;
        this.#post(feed, someBytes());
      }
    }, stepMs);
  }

  /** Resolves once all posts are answered; each of them is in the end. */
  async stop() {
    clearInterval(this.#timer);
    await until(() => this.#underWay === 0);
  }

  async #post(feed, bytes) {
    feed.isBusy = true;
    feed.posted += 1;
    this.#underWay += 1;
    try {
      const status = await this.#service.publish(feed.name, `Message ${feed.posted} of ${feed.name} `.padEnd(bytes, '.'));
      if (status !== 201) this.#crowd.fault(`a publish was answered with status ${status}`);
      this.acknowledged += 1;
      feed.acknowledgedBytes += bytes;
    } catch ({ message }) {
      this.#crowd.fault(`a publish failed: ${message}`);
    }
    this.#underWay -= 1;
    feed.isBusy = false;
  }
}
