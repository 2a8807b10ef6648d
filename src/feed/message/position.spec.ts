import { formatPosition, parsePosition } from './position.js';

describe('a position', () => {
  it.each(['mfx3k2a-0', 'a-9999999999999998'])('is read from %s', (text) => {
    expect(formatPosition(parsePosition(text) as never)).toBe(text);
    expect(parsePosition(`${text}/orders/42-1`)).toEqual(parsePosition(text));
  });

  it.each(['', 'a', 'a-', '-1', 'a-1x', 'a-1.5', 'A-1', 'a--1', 'a-1 ', ' a-1', 'a-10000000000000000', `${'a'.repeat(33)}-1`])(
    'is not %j',
    (text) => {
      expect(parsePosition(text)).toBeUndefined();
    },
  );
});
