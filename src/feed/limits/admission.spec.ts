import type { IncomingMessage } from 'node:http';
import { TokenGrant } from '../auth/grant.js';
import { FeedRequest } from '../http/feed-request.js';
import { Admission } from './admission.js';
import { resolveLimitOptions } from './limit.options.js';

function admit(grant?: TokenGrant, maxConnectionsPerClient = 1) {
  const admission = new Admission({ ...resolveLimitOptions({ maxConnectionsPerClient }), maxConnections: 10 });
  const raw = { socket: { remoteAddress: '203.0.113.7' }, headers: {}, url: '/' } as unknown as IncomingMessage;
  return admission.admit(Object.assign(FeedRequest.of(raw), { grant }), 0);
}

describe('Admission', () => {
  it('counts a connection for the subject of its token, else for its address', () => {
    expect(admit()).toEqual({ key: '203.0.113.7' });
    expect(admit(TokenGrant.everything)).toEqual({ key: '203.0.113.7' });
    expect(admit(TokenGrant.from({ sub: '203.0.113.8' }))).toEqual({ subject: '203.0.113.8', key: 'sub:203.0.113.8' });
  });

  it('looks for no client where clients have no limits', () => {
    expect(admit(undefined, 0)).toEqual({});
    expect(admit(TokenGrant.from({ sub: 'ada', exp: 1 }), 0)).toEqual({ subject: 'ada', expiresAt: 1000 });
  });
});
