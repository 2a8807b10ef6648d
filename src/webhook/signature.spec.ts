import { signedHeaders, signingKey } from './signature.js';

describe('a signature', () => {
  it("is that of the specification's own libraries", () => {
    const key = signingKey('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw');
    expect(signedHeaders(key, 'msg_p5jXN8AQM9LWM0D4loKWxJek', '{"test": 2432232314}', 1_614_265_330_999)).toEqual({
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    });
  });

  it.each([
    ['whsec_AAEC', [0, 1, 2]],
    ['é', [0xc3, 0xa9]],
    ['', []],
    ['whsec_', []],
    ['whsec_not base64', []],
    ['whsec_AAE', []],
  ])('has of the secret %j the key %j', (secret, key) => {
    expect([...signingKey(secret)]).toEqual(key);
  });
});
