/** Where a server is. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

const form = /^(?:\[([\da-f:.]+)\]|([\w.-]+))(?::(\d{1,5}))?$/i;

/** Reads `host[:port]`, where an IPv6 address has brackets; undefined for anything else. */
export function addressOf(text: string, defaultPort: number): Address | undefined {
  const [, ipv6, name, digits = defaultPort] = form.exec(text) ?? [];
  const host = ipv6 ?? name;
  const port = Number(digits);
  return host !== undefined && port >= 1 && port <= 65_535 ? { host, port } : undefined;
}

/** The same in a random order: processes that connect at the same time try different ones first. */
export function shuffled<T>(items: readonly T[]): T[] {
  return [...items].sort(() => Math.random() - 0.5);
}
