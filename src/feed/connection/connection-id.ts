/** The id of a connection: the name of its node, and its number there. */
export function connectionId(node: string, number: number): string {
  return `${node}-${number}`;
}

/** The name of the node, which may have dashes, and the number. */
const form = /^(.+)-(\d+)$/;

/** What an id says; undefined where it is none. */
export function parseConnectionId(id: string): { readonly node: string; readonly number: number } | undefined {
  const [, node, number] = form.exec(id) ?? [];
  return node === undefined ? undefined : { node, number: Number(number) };
}
