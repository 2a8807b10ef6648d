/** That of CRC-32 (RFC 1952 section 8), reflected: the highest bit of a number is the lowest power of x. */
const polynomial = 0xedb88320 | 0;

/** The polynomial 1. */
const one = 0x80000000 | 0;

/** The powers x, x², x⁴, … */
const powers: number[] = [0x40000000];
while (powers.length < 32) powers.push(product(powers.at(-1) as number, powers.at(-1) as number));

/** The product of two polynomials modulo that of CRC-32. Each is a signed number of 32 bits, which V8 keeps without an object. */
function product(a: number, b: number): number {
  let sum = 0;
  for (let rest = a, power = b; rest !== 0; rest <<= 1) {
    sum ^= power & (rest >> 31); // without a branch, which would be mispredicted half of the time
    power = (power >>> 1) ^ (-(power & 1) & polynomial);
  }
  return sum;
}

/** What so many bytes do to the checksum of what is before them: calculated once for all that they are appended to. */
export function shiftOf(bytes: number): number {
  let shift = one;
  for (let rest = bytes, n = 3; rest !== 0; rest >>>= 1, n += 1) if (rest & 1) shift = product(powers[n & 31] as number, shift);
  return shift;
}

/**
 * The checksum of some bytes and more that are appended, from the checksums of the two parts.
 *
 * @param shift that of the appended bytes
 */
export function appended(checksum: number, more: number, shift: number): number {
  return product(checksum, shift) ^ more;
}
