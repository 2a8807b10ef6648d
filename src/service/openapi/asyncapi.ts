import { readFileSync } from 'node:fs';
import type { ResolvedFeedOptions } from '../../feed/feed.options.js';
import { type AsyncApiDocument, asyncApiDocument } from '../../feed/http/asyncapi.js';
import { defineFeed } from '../../feed/message/feed-definition.js';

/** What the feeds of the service take, of which none is defined. */
const anything = {
  '~standard': {
    version: 1,
    vendor: 'nestjs-feed',
    validate: (value: unknown) => ({ value }),
    jsonSchema: { output: () => ({ description: 'Text, or any JSON value. A message may have a type as well.' }) },
  },
} as const;

/**
 * Makes the AsyncAPI document of the service.
 *
 * @param path the path of the feeds, with a leading slash
 */
export function asyncApiOf(path: string, { feeds }: ResolvedFeedOptions): AsyncApiDocument {
  const { name, version, description } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
  return asyncApiDocument({
    info: { title: name, version, description },
    path,
    feeds: feeds?.all ?? [defineFeed(':id', { message: anything })],
  });
}
