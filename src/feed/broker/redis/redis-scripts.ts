/**
 * What Redis does in one atomic step each. Both scripts work on two keys in one hash slot, so that they run on a cluster:
 *
 * - the state, a hash for all feeds: `epoch`; `offset` of the last message; `unkept`, the offset of the last message that was larger than
 *   its feed's history; and up to 65,536 slots that feeds share by a hash, each with the offset of the last message of the feed that used
 *   it last. They tell what has been trimmed of feeds whose stream has expired, in a space that does not grow with the number of feeds.
 * - the feed's stream. An entry's id is its message's offset, its one field the message as it is announced, see `redis-message.ts`.
 *
 * Offsets are microseconds since 1970 by the clock of Redis, one more where that has not moved: a Redis that has lost its last messages
 * (a failover before they had been replicated) does not give their offsets to others. Where its clock is behind, the processes that have
 * received those messages tell it their last offset.
 */
const common = `
local function text(number) return string.format('%.0f', number) end

local state = redis.call('HMGET', KEYS[1], 'epoch', 'offset', 'unkept', ARGV[1])
local epoch, last, unkept = state[1], tonumber(state[2] or 0), tonumber(state[3] or 0)
if not epoch then
  epoch = ARGV[3]
  redis.call('HSET', KEYS[1], 'epoch', epoch)
end
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- For a feed without a stream: the offset up to which its messages have been trimmed, and whether that is exactly its last message's.
-- It is not where another feed has used the slot since; then the messages were stored longer ago than the time to live.
local function trimmed(ttl)
  if not state[4] then return 0, true end
  local offset, check = state[4]:match('^(%d+) (%x+)$')
  offset = tonumber(offset)
  if check == ARGV[2] then return offset, true end
  return math.min(offset, math.max(now - ttl, unkept, 0)), false
end
`;

/**
 * Appends a message to a feed and announces it, with the offset of the message before it.
 *
 * KEYS: state, stream. ARGV: slot, check, epoch to begin with, ttl in µs, messages stored, bytes stored, overhead of a message in bytes,
 * kind, type, text. Returns epoch and offset.
 */
export const append = `${common}
local ttl, mostMessages, mostBytes, overhead = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local offset = math.max(now, last + 1)
local id = text(offset)

local function before(message) return tonumber(message:match('^%S+ %S+ %S+ %S+ (%d+)')) end
local function size(message) return #message - message:find('\\n', 1, true) - 1 + overhead end

local previous, isExact, total
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if newest then
  local message = newest[2][2]
  previous, isExact, total = tonumber(newest[1]:match('^%d+')), true, before(message) + size(message)
else
  previous, isExact = trimmed(ttl)
  total = 0
end
local head = table.concat({ epoch, id, text(previous), isExact and '1' or '0', text(total), ARGV[8] }, ' ')
local message = head .. '\\n' .. ARGV[9] .. '\\n' .. ARGV[10]
total = total + size(message)

if mostMessages > 0 then
  redis.call('XADD', KEYS[2], 'MAXLEN', mostMessages, id .. '-0', 'm', message)
  redis.call('XTRIM', KEYS[2], 'MINID', text(math.max(now - ttl, 0)))
  redis.call('PEXPIRE', KEYS[2], text(ttl / 1000))
  while total > mostBytes do
    local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
    if not oldest or total - before(oldest[2][2]) <= mostBytes then break end
    redis.call('XDEL', KEYS[2], oldest[1])
  end
end
redis.call('HSET', KEYS[1], 'offset', id, ARGV[1], id .. ' ' .. ARGV[2])
if mostMessages == 0 or redis.call('XLEN', KEYS[2]) == 0 then redis.call('HSET', KEYS[1], 'unkept', id) end
redis.call('SPUBLISH', KEYS[2], message)
return { epoch, id }
`;

/**
 * Reads a page of a feed: as many messages as the limit on bytes allows, and at least one.
 *
 * KEYS: state, stream. ARGV: slot, check, epoch to begin with, ttl in µs, where to begin (an offset, or \`earliest\`, \`newest\`, \`end\`), the
 * epoch of that offset, the last offset to read (or \`+\`), the last offset that the reading process has received, its epoch, and the limit
 * in bytes. Returns epoch, offset of the last message of all feeds, whether the position is one of this epoch, the offset up to which
 * messages have been trimmed before the first one after the position, whether that is exact, the offset of the last message of the page
 * where more follow (or an empty text), and messages.
 */
export const read = `${common}
if ARGV[9] == epoch and tonumber(ARGV[8]) > last then
  last = tonumber(ARGV[8])
  redis.call('HSET', KEYS[1], 'offset', text(last))
end
local ttl, start, upTo, limit = tonumber(ARGV[4]), ARGV[5], ARGV[7], tonumber(ARGV[10])
local least = math.max(now - ttl, 0)
local isKnown, moreAfter = true, ''
local messages = {}
local dropped, isExact = '0', '1'

-- A few entries at a time: the stream may be many times the limit.
local function readPage(id)
  local bytes, from = 0, id
  repeat
    local entries = redis.call('XRANGE', KEYS[2], from, upTo, 'COUNT', 32)
    for _, entry in ipairs(entries) do
      local message = entry[2][2]
      bytes = bytes + #message
      if bytes > limit and #messages > 0 then return id:match('^%d+') end
      messages[#messages + 1] = message
      id = entry[1]
      from = '(' .. id
    end
  until #entries < 32
  return ''
end

if start == 'newest' then
  local newest = redis.call('XREVRANGE', KEYS[2], '+', text(least), 'COUNT', 1)[1]
  if newest then messages[1] = newest[2][2] end
elseif start ~= 'end' then
  local after = tonumber(start)
  isKnown = after ~= nil and ARGV[6] == epoch and after <= last
  if isKnown then least = math.max(least, after + 1) end
  local first = redis.call('XRANGE', KEYS[2], text(least), '+', 'COUNT', 1)[1]
  if first then
    dropped, isExact = first[2][2]:match('^%S+ %S+ (%d+) (%d)')
    moreAfter = readPage(text(least))
  else
    local offset, isLast = trimmed(ttl)
    dropped, isExact = text(offset), isLast and '1' or '0'
  end
end
return { epoch, text(last), isKnown and 1 or 0, dropped, tonumber(isExact), moreAfter, messages }
`;
