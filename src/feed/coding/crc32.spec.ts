import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { appended, shiftOf } from './crc32.js';

it('the checksum of parts is that of the whole', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), (parts) => {
      const checksum = parts.reduce((sum, part) => appended(sum, crc32(part), shiftOf(part.length)), 0);
      expect(checksum >>> 0).toBe(crc32(Buffer.concat(parts)));
    }),
  );
});

it('the checksum of long parts is that of the whole', () => {
  const part = Buffer.alloc(3_000_001, 'abc');
  expect(appended(crc32(part), crc32(part), shiftOf(part.length)) >>> 0).toBe(crc32(Buffer.concat([part, part])));
});
