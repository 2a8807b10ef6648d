import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Ajv } from 'ajv';

const specification = createRequire(import.meta.url).resolve('@asyncapi/specs/schemas/3.0.0-without-$id.json');

export const ajv = new Ajv({ strict: false, logger: false, validateFormats: false });

const isAsyncApi = ajv.compile(JSON.parse(readFileSync(specification, 'utf8')));

/** What of a document does not fit the schema of AsyncAPI 3.0. */
export function asyncApiFaults(document: object): unknown[] {
  return isAsyncApi(JSON.parse(JSON.stringify(document))) ? [] : (isAsyncApi.errors ?? []);
}
