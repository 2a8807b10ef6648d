/** Another process that shares the broker. */
export interface Peer {
  /** Identifies the process, also where several nodes have the same name. */
  readonly id: string;
  readonly name: string;
}

interface KnownPeer extends Peer {
  /** How many heartbeats of this node, or rolls with it, have been heard since the other was heard last. */
  missed: number;
  /** Whether it has been heard since this node called the last roll. */
  isPresent: boolean;
}

/** How many other nodes are known at a time: any program that can reach the server can speak as some. */
const mostNodes = 999;

/** The other nodes that are known, and for how long each has been silent. */
export class Peers {
  private readonly byId = new Map<string, KnownPeer>();
  /** By the text of its heartbeat, which is always the same: hearing one costs no more than finding it here. */
  private readonly byHeartbeat = new Map<string, KnownPeer>();

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

  /** @returns undefined where it is known already, or too many are */
  add({ id, node }: { id: string; node: string }, heartbeat: string): Peer | undefined {
    if (this.byId.has(id) || this.byId.size >= mostNodes) return undefined;
    const peer = { id, name: node, missed: 0, isPresent: true };
    this.byId.set(id, peer);
    this.byHeartbeat.set(heartbeat, peer);
    return peer;
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
