import type { StandardJSONSchemaV1, StandardSchemaV1 } from '@standard-schema/spec';

export type JsonSchema = Record<string, unknown>;

/**
 * The JSON Schema of the data that a schema makes, as the schema's library says it (Standard JSON Schema): `{}`, which fits any data, where
 * it cannot, as of a transformation.
 */
export function jsonSchemaOf(schema: StandardSchemaV1, target: StandardJSONSchemaV1.Target): JsonSchema {
  const { jsonSchema } = schema['~standard'] as Partial<StandardJSONSchemaV1.Props>;
  if (!jsonSchema) return {};
  try {
    const { $schema: _, ...known } = jsonSchema.output({ target });
    return known;
  } catch {
    return {};
  }
}

/** Whether a schema is known to describe text, which a message carries as it is; undefined where it may be either. */
export function isText({ type, $ref }: JsonSchema): boolean | undefined {
  if ($ref !== undefined) return false;
  if (type === 'string') return true;
  return type === undefined || [type].flat().includes('string') ? undefined : false;
}

/** A schema whose references to itself hold at a place in a document, such as `#/components/schemas/Price`. */
export function rebased(schema: JsonSchema, place: string): JsonSchema {
  const rebase = (_key: string, value: unknown) => {
    const { $ref } = (value ?? {}) as { $ref?: unknown };
    return typeof $ref === 'string' && $ref.startsWith('#') ? { ...(value as object), $ref: place + $ref.slice(1) } : value;
  };
  // What the library made may be its own.
  return JSON.parse(JSON.stringify(schema, rebase));
}

/** Whether a schema refers to its own parts. */
export function hasReferences(schema: JsonSchema): boolean {
  return JSON.stringify(schema).includes('"$ref":');
}
