import { Sequence, sumFaults } from '../dist/flood/sequence.js';
import { Connection, formatNames } from './connection.mjs';
import { until } from './until.mjs';

const manners = ['fin', 'reset', 'half'];

/** The part of the visitors that leave at once, and within how many milliseconds: while they connect, ask, or are being answered. */
const [hasty, hastyMs] = [0.1, 10];
/** The part of the visitors that follow a feed of their own, which nobody follows before or after them. */
const alone = 0.25;
/** The part of all others that follow two feeds at once. */
const twice = 0.2;
/** One witness and one returner for so many connections open at a time. */
const perWitness = 40;
/** How long a returner's connection lasts, and how long it stays away, in milliseconds, on average. */
const [heldMs, awayMs] = [5000, 500];
/**
 * Bytes published after which the service must have ended a client that reads nothing: the kernel takes some 2.7 MB for it on a loopback
 * connection, the service holds 16 KiB.
 */
const tooMuch = 6_000_000;
/** How long a client that reads again may take to see that it was ended, in milliseconds. */
const patience = 20_000;

const chance = (share) => Math.random() < share;
const oneOf = (list) => list[Math.floor(Math.random() * list.length)];
const about = (ms) => -ms * Math.log(1 - Math.random());

/** A feed that messages numbered 1, 2, 3, … are published to. */
class Feed {
  /** The number of the last message that was sent to the service. */
  posted = 0;
  /** Whether that message's answer is still to come: the next one must not overtake it. */
  isBusy = false;
  /** The bytes of all messages that the service has acknowledged. */
  acknowledgedBytes = 0;

  constructor(name) {
    this.name = name;
  }
}

/** Follows feeds and checks that of each it gets every message once and in order, from its first answer on. */
class Follower {
  /** What it has of each feed, by the feed's name. */
  #tracks;
  #hasAnswer = false;
  #isCounted = false;

  constructor(crowd, feeds) {
    this.crowd = crowd;
    this.#tracks = new Map(feeds.map((feed) => [feed.name, { feed, first: 1, sequence: new Sequence() }]));
    this.format = oneOf(formatNames);
  }

  get feeds() {
    return [...this.#tracks.values()].map(({ feed }) => feed);
  }

  open() {
    const { crowd, format, lastId } = this;
    const [first, ...others] = this.#tracks.keys();
    const target = others.length === 0 ? `/test/${first}` : `/test?${[first, ...others].map((name) => `id=${name}`).join('&')}`;
    this.connection = crowd.connect({ target, format, lastId }, this);
  }

  head(status) {
    const { crowd, connection } = this;
    if (status !== 200) {
      crowd.fault(`answered with status ${status}`);
      connection.leave('fin');
      return;
    }
    crowd.answered += 1;
    if (this.#hasAnswer) return;
    this.#hasAnswer = true;
    // What was on its way before the answer came may reach this follower, what is sent from now on must.
    for (const track of this.#tracks.values()) track.first = track.feed.posted + 1;
  }

  message({ id, type, text }) {
    const { crowd } = this;
    if (type !== undefined) crowd.fault(`a message of the type ${type}`);
    else if (text !== undefined) this.#take(text);
    this.lastId = id ?? this.lastId;
  }

  closed(why) {
    if (!this.connection.hasLeft) this.crowd.fault(`ended by the service: ${why}`);
  }

  /** Whether it has all that was published. */
  get isUpToDate() {
    return [...this.#tracks.values()].every(({ feed, sequence, first }) => sequence.last === feed.posted || first > feed.posted);
  }

  /** Has what it missed of its feeds count, and what came otherwise than it should. */
  count(isToTheEnd = false) {
    if (this.#isCounted) return;
    this.#isCounted = true;
    const tracks = [...this.#tracks.values()];
    const { missing, repeated, outOfOrder, misdelivered } = sumFaults(tracks.map(({ sequence }) => sequence));
    const behind = isToTheEnd
      ? tracks.reduce((sum, { feed, sequence, first }) => sum + feed.posted - Math.max(sequence.last, first - 1), 0)
      : 0;
    this.crowd.fault('messages lost', missing + behind);
    this.crowd.fault('messages repeated', repeated);
    this.crowd.fault('messages out of order', outOfOrder);
    this.crowd.fault("messages of another's feed, or of none", misdelivered);
  }

  #take(text) {
    const [, digits, name] = /Message (\d+) of (\S+)/.exec(text) ?? [];
    const number = Number(digits);
    const track = this.#tracks.get(name);
    if (!track || number > track.feed.posted) {
      this.#tracks.values().next().value.sequence.misdelivered += 1;
      return;
    }
    const { sequence, first } = track;
    if (sequence.last === 0) sequence.last = Math.min(number, first) - 1;
    sequence.take(number);
    this.crowd.delivered += 1;
  }
}

/** Comes, stays a while, and leaves in some manner. */
class Visitor extends Follower {
  constructor(crowd, feeds, stayMs) {
    super(crowd, feeds);
    this.open();
    setTimeout(() => this.connection.leave(oneOf(manners)), chance(hasty) ? Math.random() * hastyMs : about(stayMs));
  }

  closed(why) {
    super.closed(why);
    this.count();
  }
}

/** Stays from the first to the last. */
class Witness extends Follower {
  constructor(crowd, feeds) {
    super(crowd, feeds);
    this.open();
  }
}

/** Loses its connection time and again, and comes back for what it has missed: nothing is lost or repeated across the gap. */
class Returner extends Follower {
  constructor(crowd, feeds) {
    super(crowd, feeds);
    this.format = oneOf(['sse', 'ndjson']); // text has no ids to come back with
    this.open();
  }

  open() {
    super.open();
    this.#loseLater();
  }

  closed(why) {
    super.closed(why);
    if (this.connection.hasLeft) setTimeout(() => this.#comeBack(), about(awayMs));
  }

  #comeBack() {
    if (!this.crowd.isLeaving) this.open();
  }

  #loseLater() {
    setTimeout(() => {
      if (this.crowd.isSettling) return;
      if (this.lastId === undefined) this.#loseLater();
      else this.connection.leave(oneOf(manners));
    }, about(heldMs));
  }
}

/** Stops reading once it has its answer; when far more was published than can wait for it, it looks whether the service has ended it. */
class SlowReader {
  #begunAt = Number.POSITIVE_INFINITY;
  #reads = false;

  constructor(crowd, feed) {
    this.crowd = crowd;
    this.feed = feed;
    this.connection = crowd.connect({ target: `/test/${feed.name}`, format: oneOf(formatNames) }, this);
  }

  head(status) {
    if (status !== 200) this.crowd.fault(`answered with status ${status}`);
    else this.crowd.answered += 1;
    this.#begunAt = this.feed.acknowledgedBytes;
    if (!this.connection.hasLeft) this.connection.pause();
  }

  message() {}

  look() {
    if (this.#reads || this.feed.acknowledgedBytes - this.#begunAt < tooMuch) return;
    this.#reads = true;
    this.connection.resume();
    this.timer = setTimeout(() => {
      this.crowd.fault('a slow reader that the service did not end');
      this.connection.leave('reset');
    }, patience);
  }

  closed() {
    const { crowd, connection } = this;
    clearTimeout(this.timer);
    crowd.slowReaders.delete(this);
    if (connection.hasLeft) return;
    if (connection.isComplete) crowd.fault('a slow reader that came to an orderly end');
    else crowd.cut += 1;
  }
}

/** How often connections that are due are opened, in milliseconds. */
const stepMs = 10;
/** How many times faster than asked for connections are opened to make up for a pause. */
const haste = 5;

/** Everybody who comes to the service, and what they have to say of it. */
export class Crowd {
  /** Connections begun, those of them that were answered with 200, and the slow readers that the service has ended. */
  begun = 0;
  answered = 0;
  cut = 0;
  /** Slow readers that have been there. */
  slow = 0;
  /** Messages that reached their followers. */
  delivered = 0;
  /** What went wrong, and how often. */
  faults = new Map();
  /** From when on nobody loses a connection any more, and from when on nobody comes. */
  isSettling = false;
  isLeaving = false;
  slowReaders = new Set();
  /** What slow readers follow, and nobody else. */
  bulk = new Feed('bulk');
  #service;
  #options;
  #feeds;
  #there = new Set();
  /** Those who stay from the first to the last. */
  #checkers = [];
  /** The last visitors; some are still there. */
  #recent = [];
  #visitors = 0;
  #arriving;

  constructor(service, options) {
    this.#service = service;
    this.#options = options;
    // Two messages a second for each: history then never runs dry, and who comes back finds all that was missed.
    this.#feeds = Array.from({ length: Math.max(2, Math.round(options.publish / 2)) }, (_, n) => new Feed(`common/${n + 1}`));
  }

  get faultCount() {
    return [...this.faults.values()].reduce((sum, count) => sum + count, 0);
  }

  fault(what, count = 1) {
    if (count > 0) this.faults.set(what, (this.faults.get(what) ?? 0) + count);
  }

  /** Opens a connection for one of the crowd. */
  connect(request, listener) {
    this.begun += 1;
    const connection = new Connection(this.#service.url, request, {
      head: (status) => listener.head(status),
      message: (message) => listener.message(message),
      closed: (why) => {
        this.#there.delete(connection);
        listener.closed(why);
      },
    });
    this.#there.add(connection);
    return connection;
  }

  /** Has people come, until `settle()`. */
  start() {
    const { rate, open } = this.#options;
    for (let n = 0; n < Math.max(1, open / perWitness); n += 1) {
      this.#checkers.push(new Witness(this, this.#someFeeds()), new Returner(this, this.#someFeeds()));
    }
    const begunAt = performance.now();
    this.#arriving = setInterval(() => {
      const due = Math.ceil(((performance.now() - begunAt) / 1000) * rate);
      const most = this.#visitors + Math.ceil((rate * stepMs * haste) / 1000);
      while (this.#visitors < Math.min(due, most)) this.#arrive((open / rate / (1 - hasty)) * 1000);
      for (const reader of this.slowReaders) reader.look();
    }, stepMs);
  }

  /** A feed to publish to: that of one of the last visitors, whether it is still there or not; undefined where none is free. */
  freeFeed() {
    for (let tries = 0; tries < 8; tries += 1) {
      const feed = oneOf(oneOf(this.#recent)?.feeds ?? this.#feeds);
      if (!feed.isBusy) return feed;
    }
    return undefined;
  }

  /** Nobody comes any more but those who come back. Resolves once all that stay have everything that was published, or when that lasts too long. */
  async settle() {
    this.isSettling = true;
    clearInterval(this.#arriving);
    await until(() => this.#checkers.every((checker) => checker.isUpToDate));
    for (const checker of this.#checkers) checker.count(true);
  }

  /** Everybody leaves. Resolves once nobody is there, or when that lasts too long. */
  async leave() {
    this.isLeaving = true;
    for (const connection of this.#there) connection.leave(oneOf(manners));
    if (!(await until(() => this.#there.size === 0))) {
      this.fault('left with a FIN, and the service did not close', this.#there.size);
      for (const connection of this.#there) connection.destroy();
    }
  }

  #arrive(stayMs) {
    this.#visitors += 1;
    if (chance(this.#options.slow)) {
      this.slow += 1;
      this.slowReaders.add(new SlowReader(this, this.bulk));
      return;
    }
    const feeds = chance(alone) ? [new Feed(`own/${this.#visitors}`)] : this.#someFeeds();
    this.#recent[this.#visitors % Math.ceil(this.#options.open)] = new Visitor(this, feeds, stayMs);
  }

  /** One of the feeds that all share, or two. */
  #someFeeds() {
    const first = oneOf(this.#feeds);
    return chance(twice) ? [...new Set([first, oneOf(this.#feeds)])] : [first];
  }
}
