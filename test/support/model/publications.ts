/** What the model knows of one message. */
export interface Publication {
  readonly text: string;
  readonly feed: string;
  /** The application that it was published on. */
  readonly node: object;
  /** When `publish()` was called, and when it resolved, by the model's clock; undefined where it failed, or has not come back. */
  readonly begunAt: number;
  ackedAt: number | undefined;
  /** That of the broker, or of the first client that got the message; undefined while nobody knows. */
  id: string | undefined;
}

export interface Position {
  readonly epoch: string;
  readonly offset: number;
}

/** Of some messages what is beyond Latin-1: their bytes are not as many as their characters. */
const ends = ['', 'é', '€'];

/** Everything that was published, and the model's clock, which ticks with each event. */
export class Publications {
  private readonly all: Publication[] = [];
  private ticks = 0;

  /** @param keepsPositions whether the broker loses nothing when its server starts again, though it begins another epoch then */
  constructor(private readonly keepsPositions: boolean) {}

  /** The position in an id; where all epochs are one history, they have one name. */
  positionIn(id: string): Position {
    const [, epoch = '', offset = ''] = /^([a-z0-9]+)-(\d+)/.exec(id) ?? [];
    return { epoch: this.keepsPositions ? '' : epoch, offset: Number(offset) };
  }

  /** Whether an id's message is in what a reader has that has come to a position. */
  isUpTo(id: string, { epoch, offset }: Position): boolean {
    const at = this.positionIn(id);
    return at.epoch === epoch && at.offset <= offset;
  }

  /** Whether ids are of one message. */
  isSame(one: string, other: string): boolean {
    return this.isUpTo(one, this.positionIn(other)) && this.isUpTo(other, this.positionIn(one));
  }

  tick(): number {
    this.ticks += 1;
    return this.ticks;
  }

  begin(feed: string, node: object, bytes: number): Publication {
    const count = this.all.length;
    const text = `${count} ${'x'.repeat(bytes)}${ends[count % ends.length]}`;
    const publication: Publication = { text, feed, node, begunAt: this.tick(), ackedAt: undefined, id: undefined };
    this.all.push(publication);
    return publication;
  }

  find(text: unknown): Publication | undefined {
    const publication = typeof text === 'string' ? this.all[Number.parseInt(text, 10)] : undefined;
    return publication?.text === text ? publication : undefined;
  }

  /** The messages of a feed that were acknowledged. */
  ackedOf(feed: string): (Publication & { id: string; ackedAt: number })[] {
    return this.all.filter(
      (each): each is Publication & { id: string; ackedAt: number } =>
        each.feed === feed && each.ackedAt !== undefined && each.id !== undefined,
    );
  }
}
