/** How many characters of one are kept. */
const longest = 200;
/** How many different ones are known at a time: any client may send another one. */
const mostKnown = 1000;

/** Keeps each `User-Agent` once, however many connections have it. */
export class UserAgents {
  private readonly known = new Map<string, string>();

  of(header: string | undefined): string | undefined {
    if (header === undefined) return undefined;
    // A copy: a part of a string would keep the whole of it.
    const agent = header.length > longest ? Buffer.from(header.slice(0, longest)).toString() : header;
    const known = this.known.get(agent);
    if (known !== undefined) return known;
    if (this.known.size >= mostKnown) this.known.clear();
    this.known.set(agent, agent);
    return agent;
  }
}
