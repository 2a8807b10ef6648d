/** The path and the query of a request's target, as the client sent them. */
export function splitTarget(target: string): [path: string, query: string] {
  const queryAt = target.indexOf('?');
  return queryAt < 0 ? [target, ''] : [target.slice(0, queryAt), target.slice(queryAt + 1)];
}

/** What a percent-encoded text means; one that is not well encoded means itself. */
export function decoded(text: string): string {
  if (!text.includes('%')) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
