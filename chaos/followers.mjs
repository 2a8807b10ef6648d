import { Connection } from '../soak/connection.mjs';

/** How long a follower waits before it connects again, in milliseconds, at the most. */
const pauseMs = 1000;

/** Follows a feed through any node, and comes back to another one with the id of its last message whenever its connection ends. */
class Follower {
  #all;
  #feed;
  #connection;
  #lastId;
  /** The number of the last message that came. */
  #last = 0;
  /** Numbers of messages that came though they were not acknowledged: a request that was cut off may get through late, but once. */
  #unsure = new Set();
  #timer;
  /** How long the service has asked it to wait before it connects again. */
  #pauseMs;

  constructor(all, feed) {
    this.#all = all;
    this.#feed = feed;
    this.#connect();
  }

  /** How many messages that were acknowledged have not come. */
  get missing() {
    return this.#feed.acknowledgedBetween(this.#last, this.#feed.sent + 1);
  }

  leave() {
    clearTimeout(this.#timer);
    this.#connection.leave('reset');
  }

  /** Has its connection cut, as a network does. */
  sever() {
    this.#connection.destroy();
  }

  head(status) {
    if (status === 200) this.#all.open += 1;
    else {
      this.#all.refused += 1;
      this.#connection.destroy();
    }
    this.isOpen = status === 200;
  }

  isOpen = false;

  message({ id, type, text, retryMs }) {
    const { faults, latencies } = this.#all;
    if (id !== undefined) this.#lastId = id;
    if (retryMs !== undefined) this.#pauseMs = retryMs;
    if (type === 'reset') faults.resets += 1;
    if (text === undefined || type === 'reset') return;
    const [number, sentAt, feed] = text.split(' ', 3);
    const n = Number(number);
    this.#all.received += 1;
    if (latencies) latencies.push(performance.now() - Number(sentAt));
    if (feed !== this.#feed.name) {
      faults.misdelivered += 1;
      return;
    }
    const isUnsure = this.#feed.isUnsure(n);
    if (n === this.#last || this.#unsure.has(n)) faults.repeated += 1;
    else if (n < this.#last && !isUnsure) faults['out of order'] += 1;
    if (isUnsure) this.#unsure.add(n);
    if (n > this.#last) {
      faults.lost += this.#feed.acknowledgedBetween(this.#last, n);
      this.#last = n;
    }
  }

  closed() {
    if (this.isOpen) this.#all.open -= 1;
    this.isOpen = false;
    if (this.#connection.hasLeft) return;
    if (!this.#connection.isComplete) this.#all.torn += 1;
    this.#all.reconnects += 1;
    this.#timer = setTimeout(() => this.#connect(), this.#pauseMs ?? Math.random() * pauseMs);
  }

  #connect() {
    this.#pauseMs = undefined;
    const node = this.#all.anyNode();
    this.#connection = new Connection(node.url, { target: `/test/${this.#feed.name}`, format: 'sse', lastId: this.#lastId }, this);
  }
}

/** All followers, and what went wrong with any of them. */
export class Followers {
  open = 0;
  received = 0;
  reconnects = 0;
  /** Connections that ended otherwise than in order. */
  torn = 0;
  refused = 0;
  faults = { lost: 0, repeated: 0, 'out of order': 0, resets: 0, misdelivered: 0 };
  /** How long messages took, in milliseconds; undefined while that is not asked for. */
  latencies;
  #nodes;
  #followers = [];

  constructor(nodes) {
    this.#nodes = nodes;
  }

  add(feed) {
    this.#followers.push(new Follower(this, feed));
  }

  anyNode() {
    const up = this.#nodes.filter(({ isUp }) => isUp);
    const nodes = up.length > 0 ? up : this.#nodes;
    return nodes[Math.floor(Math.random() * nodes.length)];
  }

  get missing() {
    return this.#followers.reduce((sum, { missing }) => sum + missing, 0);
  }

  /** Cuts the connections of a part of them. */
  sever(share) {
    for (const follower of this.#followers) if (Math.random() < share) follower.sever();
  }

  leave() {
    for (const follower of this.#followers) follower.leave();
  }
}
