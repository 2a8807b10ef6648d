import { SharedTexts } from './shared-texts.js';

/** How many characters of one are kept. */
const longest = 200;

/** Keeps each `User-Agent` once, however many connections have it. */
export class UserAgents {
  private readonly shared = new SharedTexts();

  of(header: string | undefined): string | undefined {
    if (header === undefined) return undefined;
    // A copy: a part of a string would keep the whole of it.
    const agent = header.length > longest ? Buffer.from(header.slice(0, longest)).toString() : header;
    return this.shared.get(agent) ?? this.shared.set(agent, agent);
  }
}
