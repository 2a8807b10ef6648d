import type { EndReason } from '../../../src/feed/stats/end-reason.js';
import type { Line } from '../peer.js';
import type { ModelNode } from './node.js';
import { type Position, type Publications } from './publications.js';
import { Reader } from './reader.js';

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
  /** What came. */
  readonly lines: Line[] = [];
  /** The last text that came of each feed. */
  readonly newest = new Map<string, string | undefined>();
  /** The last position that came. */
  private last: string | undefined = undefined;
  reader!: Reader;

  private constructor(
    readonly own: string,
    readonly node: ModelNode,
    readonly options: SessionOptions,
    private readonly publications: Publications,
  ) {}

  static async open(own: string, node: ModelNode, options: SessionOptions, publications: Publications): Promise<Session> {
    const { feeds, since, isHandedOver, hasSource } = options;
    const query = [`own=${own}`, 'format=ndjson', ...feeds.map((feed) => `id=${feed}`)];
    if (since !== undefined) query.push(`since=${since}`);
    if (hasSource) query.push('source=1');
    const session = new Session(own, node, options, publications);
    session.reader = await Reader.get(node.port, `${isHandedOver ? '/own/handed' : '/kept'}?${query.join('&')}`, (line) =>
      session.take(line),
    );
    for (const feed of [own, ...feeds]) session.begin(feed, publications.tick(), true, false);
    session.reader.socket.once('data', () => {
      for (const [period] of session.periods.values()) if (period?.isInitial) period.readyAt = publications.tick();
    });
    return session;
  }

  /** When its client asked for it. */
  get begunAt(): number {
    return this.periods.get(this.own)?.[0]?.begunAt ?? 0;
  }

  get isClosed(): boolean {
    return this.reader.isClosed;
  }

  get isOpen(): boolean {
    return !this.isClosed && this.reader.status === 200;
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

  async follow(feed: string, since: string | undefined): Promise<void> {
    const connection = this.node.connections.get(this.own);
    if (!connection || this.isClosed || this.endedAt !== undefined || this.follows(feed)) return;
    const period = this.begin(feed, this.publications.tick(), false, since === 'earliest');
    try {
      await connection.follow(feed, since);
      period.readyAt = this.publications.tick();
    } catch {
      period.endedAt ??= this.publications.tick();
    }
  }

  unfollow(feed: string): void {
    const connection = this.node.connections.get(this.own);
    if (!connection || this.isClosed || !this.follows(feed)) return;
    connection.unfollow(feed);
    for (const period of this.periods.get(feed) ?? []) period.endedAt ??= this.publications.tick();
  }

  /** Where it began. */
  get start(): Position | undefined {
    const header = this.reader.header('feed-position');
    return header === undefined ? undefined : this.publications.positionIn(header);
  }

  /** What its client comes back with. */
  get position(): string | undefined {
    return this.last ?? this.reader.header('feed-position') ?? this.options.since;
  }

  private take(line: Line): void {
    const { id, feed, type } = line;
    const publication = this.publications.find(line.data);
    // One text for all who got it: there are many, and they are long.
    this.lines.push(publication ? { ...line, data: publication.text } : line);
    this.last = id ?? this.last;
    if (feed !== undefined && type === undefined) this.newest.set(feed, publication?.text);
  }
}
