/** How many characters of JSON a page may have, more or less: it travels to the node that asks as one message. */
const longestPage = 250_000;

/** The first entries of a list: as many as are asked for, or as fit into a message. */
export function firstPage<Entry>(entries: Iterable<Entry>, limit: number): { readonly page: Entry[]; readonly hasMore: boolean } {
  const page: Entry[] = [];
  let length = 0;
  for (const entry of entries) {
    if (page.length === limit || length > longestPage) return { page, hasMore: true };
    page.push(entry);
    length += JSON.stringify(entry).length;
  }
  return { page, hasMore: false };
}
