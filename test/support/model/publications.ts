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

export function positionIn(id: string): Position {
  const [, epoch = '', offset = ''] = /^([a-z0-9]+)-(\d+)/.exec(id) ?? [];
  return { epoch, offset: Number(offset) };
}

/** Everything that was published, and the model's clock, which ticks with each event. */
export class Publications {
  private readonly all: Publication[] = [];
  private ticks = 0;

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
