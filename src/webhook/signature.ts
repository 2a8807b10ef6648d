import { createHmac } from 'node:crypto';

/** What marks a secret that is written as Standard Webhooks says. */
const prefix = 'whsec_';

/**
 * The key that a secret stands for: the bytes that are base64 behind `whsec_`, else those of the text itself, in UTF-8.
 *
 * @returns the key; empty where the secret is, or is not base64 behind `whsec_`
 */
export function signingKey(secret: string): Buffer {
  if (!secret.startsWith(prefix)) return Buffer.from(secret);
  const encoded = secret.slice(prefix.length);
  const key = Buffer.from(encoded, 'base64');
  // Buffer passes over what is not base64; a receiver's library would not.
  return key.toString('base64') === encoded ? key : Buffer.alloc(0);
}

/**
 * The headers that prove who sent a request and when, as Standard Webhooks 1.0.0 has them
 * (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, "Signature scheme").
 *
 * @param id the same for each attempt to send a body; without a `.`
 * @param time of the attempt, in milliseconds since 1970
 */
export function signedHeaders(key: Buffer, id: string, body: string, time = Date.now()): Record<string, string> {
  const timestamp = String(Math.floor(time / 1000));
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` };
}
