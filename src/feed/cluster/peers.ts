/** Another process that shares the broker. */
export interface Peer {
  /** Identifies the process, also where several nodes have the same name. */
  readonly id: string;
  readonly name: string;
}

interface KnownPeer extends Peer {
  /** How many heartbeats of this node, or rolls with it, have been heard since the other was heard last. */
  missed: number;
  /** Whether it has been heard itself since the last roll. */
  isPresent: boolean;
}

/** How many other nodes are known at a time: any program that can reach the server can speak as some. */
const mostNodes = 999;
/** How many nodes that have left are known: as many as leave between two rolls, by far. */
const knownLeft = 1000;

/** The other nodes that are known, and for how long each has been silent. */
export class Peers {
  private readonly byId = new Map<string, KnownPeer>();
  /** By the text of its heartbeat, which is always the same: hearing one costs no more than finding it here. */
  private readonly byHeartbeat = new Map<string, KnownPeer>();

  /** The last nodes that have left: a roll that was called before may arrive after that, and must not bring them back. */
  private readonly left = new Set<string>();

  get size(): number {
    return this.byId.size;
  }

  has(id: string): boolean {
    return this.byId.has(id);
  }

  sorted(): Peer[] {
    return [...this.byId.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** The first of all ids, this one among them: the same one for all nodes that know each other. */
  firstId(own: string): string {
    let first = own;
    for (const id of this.byId.keys()) if (id < first) first = id;
    return first;
  }

  /** A heartbeat has been heard. Returns false where its node is not known. */
  hearText(heartbeat: string): boolean {
    const known = this.byHeartbeat.get(heartbeat);
    if (!known) return false;
    known.missed = 0;
    known.isPresent = true;
    return true;
  }

  /** It is there, as a roll tells. Returns false where it is not known. */
  hear(id: string): boolean {
    const known = this.byId.get(id);
    if (known) known.missed = 0;
    return known !== undefined;
  }

  /** @returns false where it is known already, has left, or where too many are known */
  add({ id, name }: Peer, heartbeat: string, isPresent: boolean): boolean {
    if (this.byId.has(id) || this.left.has(id) || this.byId.size >= mostNodes) return false;
    const peer = { id, name, missed: 0, isPresent };
    this.byId.set(id, peer);
    this.byHeartbeat.set(heartbeat, peer);
    return true;
  }

  /** A node leaves in good order. */
  noteLeft(id: string): void {
    this.left.add(id);
    for (const oldest of this.left) {
      if (this.left.size <= knownLeft) break;
      this.left.delete(oldest);
    }
  }

  /** A node that has left, as it seemed, is heard itself. */
  noteBack(id: string): void {
    this.left.delete(id);
  }

  remove(id: string): Peer | undefined {
    const peer = this.byId.get(id);
    this.byId.delete(id);
    for (const [text, known] of this.byHeartbeat) if (known === peer) this.byHeartbeat.delete(text);
    return peer;
  }

  /** Each may have been heard once more. Returns those that have been silent for longer than that. */
  miss(most: number): Peer[] {
    const silent: Peer[] = [];
    for (const peer of this.byId.values()) {
      peer.missed += 1;
      if (peer.missed > most) silent.push(peer);
    }
    return silent;
  }

  /** Those that have been heard since this was called last. */
  takePresent(): Peer[] {
    const present = [...this.byId.values()].filter(({ isPresent }) => isPresent);
    for (const peer of present) peer.isPresent = false;
    return present;
  }
}
