import { readFileSync } from 'node:fs';
import { type FeedErrorCode, FeedException } from '../../src/index.js';

const protocol = readFileSync('docs/protocol.md', 'utf8');
const described = [...protocol.matchAll(/^\| (\d{3}) \| `([A-Z_]+)` \|/gm)].map(([, status, code]) => [code, Number(status)] as const);
const table = readFileSync('src/feed/errors/feed-exception.ts', 'utf8');
/** Its client reads it in the stream. */
const neverAnswered = ['FEED_DISCONNECTED'];
const codes = [...table.matchAll(/^ {2}([A-Z_]+): \{ status/gm)]
  .map(([, code]) => `${code}`)
  .filter((code) => !neverAnswered.includes(code));

describe('the errors', () => {
  it('are all described, each with its status', () => {
    expect(codes.length).toBeGreaterThan(15);
    expect(described.map(([code]) => code).sort()).toEqual([...codes].sort());
    for (const [code, status] of described) expect([code, new FeedException(code as FeedErrorCode).getStatus()]).toEqual([code, status]);
  });
});
