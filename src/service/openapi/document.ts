import { readFileSync } from 'node:fs';
import type { OpenAPIObject } from '@nestjs/swagger';
import { parse } from 'yaml';
import type { ResolvedFeedOptions } from '../../feed/feed.options.js';

/** The files are our own: they may have as many aliases as they like. */
const own = { maxAliasCount: -1, merge: true };

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');

/**
 * Makes the service's OpenAPI document from openapi.yaml and paths.yaml: with its path and limits, and with the credentials that it accepts.
 *
 * @param path the path of the feeds, with a leading slash and no trailing one
 * @param hasAdmin whether there are routes for operators
 */
export function documentOf(path: string, options: ResolvedFeedOptions, hasAdmin: boolean): OpenAPIObject {
  const { bodyBytes, tokenCookie } = options;
  const { name, version, description, license } = JSON.parse(read('../../../package.json'));
  const values: Record<string, unknown> = { path, bodyBytes, tokenCookie, name, version, description, license };
  const parsed = (file: string) =>
    parse(
      read(file).replace(/\$(\w+)/g, (placeholder, key) => `${values[key] ?? placeholder}`),
      own,
    );
  const parts = parsed('openapi.yaml');
  const tags = parts.tags.filter(({ name }: { name: string }) => hasAdmin || name !== 'admin');
  const document = { ...parts, tags, paths: parsed('paths.yaml') };
  const tokens = !options.public;
  const conditions: Record<string, boolean> = {
    tokens,
    tokenInQuery: tokens && options.tokenInQuery,
    admin: hasAdmin,
    compress: options.compress !== undefined,
    tickets: options.ticketSecrets.length > 0,
  };
  if (!tokens) {
    const feeds = [document.paths[path], document.paths[`${path}/{id}`]];
    for (const { get } of [...feeds, document.paths['/health/connections']]) get.security = [];
    for (const operation of feeds.flatMap(({ post, delete: clear }) => [post, clear])) {
      if (operation) operation.security = [{ bearer: [] }, { key: [] }];
    }
  }
  const isLeftOut = (value: Record<string, unknown> | null | undefined) =>
    value?.['x-if'] !== undefined && !conditions[value['x-if'] as string];
  const schemes = document.components.securitySchemes;
  return JSON.parse(
    JSON.stringify(document, (key, value) => {
      if (key === 'x-if' || isLeftOut(value)) return undefined;
      if (key !== 'security') return value;
      return value.filter((requirement: object) => !Object.keys(requirement).some((scheme) => isLeftOut(schemes[scheme])));
    }),
  );
}
