import { readFileSync } from 'node:fs';
import type { ResolvedFeedOptions } from '../../feed/feed.options.js';
import { feedPaths, feedSchemas } from './feed.paths.js';
import { healthPaths, healthSchemas } from './health.paths.js';
import { metricsPaths } from './metrics.paths.js';
import type { Components, Document } from './openapi.js';
import { refusalSchema } from './refusals.js';

const about = `

A feed's response does not end, so this page cannot show it: \`curl -N\` does, and so does \`EventSource\` in a page.

Every refusal is JSON with a \`code\` for programs and a \`message\` for people.`;

function securitySchemes({ jwtSecret, jwksUrl, tokenCookie }: ResolvedFeedOptions): Components['securitySchemes'] {
  if (jwtSecret === undefined && jwksUrl === undefined) {
    return { bearer: { type: 'http', scheme: 'bearer', description: 'The publish key.' } };
  }
  return {
    bearer: { type: 'http', scheme: 'bearer', description: 'A token (JWT), or the publish key.' },
    cookie: { type: 'apiKey', in: 'cookie', name: tokenCookie, description: 'A token.' },
    query: { type: 'apiKey', in: 'query', name: 'token', description: 'A token, for clients that cannot set headers, as `EventSource`.' },
  };
}

/**
 * Describes the service as its options make it: who needs a token, and how large a message may be.
 *
 * @param path where the feeds are, with a slash before it and none behind
 */
export function documentOf(path: string, options: ResolvedFeedOptions): Document {
  const { name, version, description, license } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
  return {
    openapi: '3.1.0',
    info: { title: name, version, description: description + about, license: { name: license } },
    tags: [
      { name: 'feeds', description: 'Responses that stay open' },
      { name: 'publishing', description: 'Messages for those who follow' },
      { name: 'health', description: 'What probes and people ask' },
    ],
    paths: { ...feedPaths(path, options), ...healthPaths, ...metricsPaths },
    components: {
      schemas: { ...feedSchemas, ...healthSchemas, Error: refusalSchema },
      securitySchemes: securitySchemes(options),
    },
  };
}
