import { until } from '../soak/until.mjs';

/** Publishes to all feeds in turn, through any node. */
export class Publisher {
  acknowledged = 0;
  unacknowledged = 0;
  #timer;
  #next = 0;
  #underWay = 0;

  constructor(feeds, followers) {
    this.feeds = feeds;
    this.followers = followers;
  }

  start(rate) {
    const begunAt = performance.now();
    let begun = 0;
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - begunAt) / 1000) * rate);
      // What could not be begun in time is not made up for: feeds whose last message is not answered wait.
      for (let looked = 0; begun < due && looked < this.feeds.length; looked += 1) {
        const feed = this.feeds[this.#next % this.feeds.length];
        this.#next += 1;
        if (feed.isBusy) continue;
        begun += 1;
        this.#publish(feed);
      }
      begun = due;
    }, 10);
  }

  async stop() {
    clearInterval(this.#timer);
    await until(() => this.#underWay === 0, 30_000);
  }

  async #publish(feed) {
    this.#underWay += 1;
    if (await feed.publish(this.followers.anyNode())) this.acknowledged += 1;
    else this.unacknowledged += 1;
    this.#underWay -= 1;
  }
}
