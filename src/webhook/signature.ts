import { createHmac } from 'node:crypto';

/** The prefix of a secret in Standard Webhooks' format. */
const prefix = 'whsec_';

/**
 * The signing key of a secret: the bytes that are base64 after `whsec_`; of any other secret its UTF-8 bytes.
 *
 * @returns the key; empty if the secret is empty, or not base64 after `whsec_`
 */
export function signingKey(secret: string): Buffer {
  if (!secret.startsWith(prefix)) return Buffer.from(secret);
  const encoded = secret.slice(prefix.length);
  const key = Buffer.from(encoded, 'base64');
  // Buffer skips characters that are not base64, which the libraries of receivers do not.
  return key.toString('base64') === encoded ? key : Buffer.alloc(0);
}

/**
 * The headers that sign a request (Standard Webhooks 1.0.0,
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, "Signature scheme").
 *
 * @param keys each of which signs: receivers accept a request that one of the signatures fits
 * @param id the same for each attempt to send a body; without a `.`
 */
export function signedHeaders(keys: readonly Buffer[], id: string, body: string): Record<string, string> {
  const timestamp = String(Math.floor(Date.now() / 1000));
  const signatures = keys.map((key) => `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64')}`);
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') };
}
