import { entries, sizes } from './redis-scripts.js';

/**
 * Measures streams, without reading them: an entry says how many bytes were before it.
 *
 * KEYS: state, streams. Returns of each feed 0 where nothing is stored, or: how many messages, how many bytes, the offset of the newest one,
 * and that message where it is the feed's end.
 */
export const measure = `${entries}${sizes}
local function measured(key)
  local newest = range('XREVRANGE', key, '+', '-', 1)[1]
  local last = newest and own(newest)
  local oldest = last and range('XRANGE', key, '-', '+', 1)[1]
  local first = oldest and own(oldest)
  if not first then return 0 end
  local bytes = bytesBefore(last) + size(last) - bytesBefore(first)
  return { redis.call('XLEN', key), string.format('%.0f', bytes), newest[1]:match('^%d+'), isEnd(last) and last or '' }
end

local result = {}
for n = 2, #KEYS do result[n - 1] = measured(KEYS[n]) end
return result
`;
