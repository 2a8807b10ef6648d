import { once } from 'node:events';
import type { EndReason } from '../../../src/feed/stats/end-reason.js';
import { Peer } from '../peer.js';
import type { ModelNode } from './node.js';
import { type Position, type Publications, positionIn } from './publications.js';

/** The longest text that is searched for. */
const longestText = 200;

/** A time in which a session followed a feed, by the model's clock. */
export interface Period {
  readonly begunAt: number;
  /** When it was sure to get each message from now on: with the head for the feeds that it began with. Undefined while that is awaited. */
  readyAt: number | undefined;
  endedAt: number | undefined;
  readonly isInitial: boolean;
  /** Whether it began with history, whose messages come without ids. */
  readonly hasHistory: boolean;
}

export interface SessionOptions {
  readonly feeds: readonly string[];
  readonly since: string | undefined;
  readonly isHandedOver: boolean;
  readonly hasSource: boolean;
}

/** One connection of a client, with everything that it got. */
export class Session {
  /** Whether its client has not read all the time. */
  wasPaused = false;
  /** When the model had its client leave, or its node killed. */
  isCutByModel = false;
  /** When its node was asked to end it. */
  endedAt: number | undefined = undefined;
  readonly periods = new Map<string, Period[]>();
  /** What came since it was searched last: all of it is too long to be searched again and again. */
  private unsearched = '';
  private isAnswered = false;
  private isAccepted = false;
  private readonly found = new Set<string>();

  private constructor(
    readonly own: string,
    readonly node: ModelNode,
    readonly peer: Peer,
    readonly options: SessionOptions,
  ) {
    peer.socket.on('data', (text: string) => {
      this.unsearched += text;
    });
  }

  static async open(own: string, node: ModelNode, options: SessionOptions, publications: Publications): Promise<Session> {
    const { feeds, since, isHandedOver, hasSource } = options;
    const query = [`own=${own}`, 'format=ndjson', ...feeds.map((feed) => `id=${feed}`)];
    if (since !== undefined) query.push(`since=${since}`);
    if (hasSource) query.push('source=1');
    const peer = await Peer.get(node.port, `${isHandedOver ? '/own/handed' : '/kept'}?${query.join('&')}`);
    const session = new Session(own, node, peer, options);
    for (const feed of [own, ...feeds]) session.begin(feed, publications.tick(), true, false);
    void once(peer.socket, 'data').then(
      () => {
        for (const [period] of session.periods.values()) if (period?.isInitial) period.readyAt = publications.tick();
      },
      () => {},
    );
    return session;
  }

  get isClosed(): boolean {
    return this.peer.socket.destroyed;
  }

  get isOpen(): boolean {
    // Looked at once: V8 copies all of the text for that, which is long.
    if (!this.isAnswered && this.peer.text.length > 12) {
      this.isAnswered = true;
      this.isAccepted = this.peer.status === 200;
    }
    return !this.isClosed && this.isAccepted;
  }

  get reason(): EndReason | undefined {
    return this.node.reasons.get(this.own);
  }

  /** The feeds that it follows, without its own. */
  get feeds(): string[] {
    return [...this.periods].flatMap(([feed, periods]) => (periods.at(-1)?.endedAt === undefined && feed !== this.own ? [feed] : []));
  }

  follows(feed: string): boolean {
    const last = this.periods.get(feed)?.at(-1);
    return last !== undefined && last.endedAt === undefined;
  }

  begin(feed: string, at: number, isInitial: boolean, hasHistory: boolean): Period {
    const period: Period = { begunAt: at, readyAt: undefined, endedAt: undefined, isInitial, hasHistory };
    this.periods.set(feed, [...(this.periods.get(feed) ?? []), period]);
    return period;
  }

  async follow(feed: string, since: string | undefined, publications: Publications): Promise<void> {
    const connection = this.node.connections.get(this.own);
    if (!connection || this.isClosed || this.endedAt !== undefined || this.follows(feed)) return;
    const period = this.begin(feed, publications.tick(), false, since === 'earliest');
    try {
      await connection.follow(feed, since);
      period.readyAt = publications.tick();
    } catch {
      period.endedAt ??= publications.tick();
    }
  }

  unfollow(feed: string, publications: Publications): void {
    const connection = this.node.connections.get(this.own);
    if (!connection || this.isClosed || !this.follows(feed)) return;
    connection.unfollow(feed);
    for (const period of this.periods.get(feed) ?? []) period.endedAt ??= publications.tick();
  }

  /** Which of some texts have come; they are the same with each call. */
  search(texts: Iterable<string>): ReadonlySet<string> {
    for (const text of texts) if (this.unsearched.includes(text)) this.found.add(text);
    this.unsearched = this.unsearched.slice(-longestText); // one may be there in part
    return this.found;
  }

  /** Where it began. */
  get start(): Position | undefined {
    const header = /\r\nfeed-position: (\S+)/i.exec(this.peer.head)?.[1];
    return header === undefined ? undefined : positionIn(header);
  }

  /** What its client comes back with. */
  get position(): string | undefined {
    return (
      this.peer.lines.findLast(({ id }) => id !== undefined)?.id ??
      /\r\nfeed-position: (\S+)/i.exec(this.peer.head)?.[1] ??
      this.options.since
    );
  }
}
