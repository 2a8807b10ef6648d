import { badQuery } from '../feed/errors/query-rules.js';

/**
 * Reads the parameters of a query. One that is not known is rejected: with a filter that is mistyped, an operator would end connections that
 * are not meant.
 *
 * @throws FeedException FEED_QUERY (400)
 */
export function readQuery<Name extends string>(query: URLSearchParams, names: readonly Name[]): { [N in Name]?: string } {
  const given: { [N in Name]?: string } = {};
  for (const [name, value] of query) {
    if (!names.includes(name as Name)) {
      const known = names.length > 0 ? `there are ${names.join(', ')}` : 'this route has none';
      throw badQuery(`There is no parameter ${JSON.stringify(name)}: ${known}.`);
    }
    if (name in given) throw badQuery(`Give ${name} once.`);
    given[name as Name] = value;
  }
  return given;
}

/** @throws FeedException FEED_QUERY (400) */
export function flagOf(name: string, text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  if (text !== 'true' && text !== 'false') throw badQuery(`${name} is true or false.`);
  return text === 'true';
}
