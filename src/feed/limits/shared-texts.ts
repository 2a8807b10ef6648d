/** How many are known at a time: clients choose what they send. */
const mostKnown = 1000;

/** Texts that many connections share, each kept once. */
export class SharedTexts {
  private readonly known = new Map<string, string>();

  get(key: string): string | undefined {
    return this.known.get(key);
  }

  /** @returns the text */
  set(key: string, text: string): string {
    if (this.known.size >= mostKnown) this.known.clear();
    this.known.set(key, text);
    return text;
  }
}
