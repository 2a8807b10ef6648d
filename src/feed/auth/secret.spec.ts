import { Secret } from './secret.js';

describe('a secret', () => {
  it.each(['open-sesame', '', 'ü'])('matches itself and nothing else: %j', (value) => {
    const secret = new Secret(value);
    expect(secret.matches(value)).toBe(true);
    for (const other of [`${value}x`, value.slice(1) || 'x', 'open-barley']) expect(secret.matches(other)).toBe(false);
  });
});
