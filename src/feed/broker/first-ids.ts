import { isOwnFeed } from '../message/feed-id.js';

/** Which ids are looked for. */
export interface IdRange {
  /** What they begin with. */
  readonly prefix: string;
  /** The id behind which they begin. */
  readonly after: string;
  /** How many at most. */
  readonly most: number;
}

/** The first of many ids in their order, without holding all of them. */
export class FirstIds {
  private ids: string[] = [];
  /** The last one that may be among the first. */
  private bound: string | undefined = undefined;

  constructor(private readonly range: IdRange) {}

  /** An id may be added again. The module's own feeds are left out. */
  add(id: string): void {
    const { prefix, after, most } = this.range;
    if (id <= after || !id.startsWith(prefix) || isOwnFeed(id) || (this.bound !== undefined && id >= this.bound)) return;
    this.ids.push(id);
    if (this.ids.length >= 2 * most + 1000) this.cut();
  }

  /** In their order, each once. */
  get first(): string[] {
    this.cut();
    return this.ids;
  }

  private cut(): void {
    const { most } = this.range;
    this.ids = [...new Set(this.ids)].sort().slice(0, most);
    if (this.ids.length === most) this.bound = this.ids.at(-1);
  }
}
