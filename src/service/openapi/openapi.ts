import type { OpenAPIObject } from '@nestjs/swagger';

// The parts of a document have no names of their own in the package's exports.
export type Document = OpenAPIObject;
export type Components = NonNullable<Document['components']>;
export type Schema = NonNullable<Components['schemas']>[string];
export type Paths = Document['paths'];
export type Operation = NonNullable<Paths[string]['get']>;
export type Parameter = NonNullable<Operation['parameters']>[number];
export type Responses = Operation['responses'];
export type Content = NonNullable<Exclude<NonNullable<Operation['requestBody']>, { $ref: string }>>['content'];

/** Points at a schema of the document. */
export function schemaNamed(name: string): Schema {
  return { $ref: `#/components/schemas/${name}` };
}

/** A JSON body, with examples by name. */
export function json(schema: Schema, examples: Record<string, unknown>): Content {
  const named = Object.entries(examples).map(([name, value]) => [name, { value }]);
  return { 'application/json': { schema, examples: Object.fromEntries(named) } };
}

/** An object that has all of these properties. */
export function objectOf(properties: Record<string, Schema>): Schema {
  return { type: 'object', required: Object.keys(properties), properties };
}
