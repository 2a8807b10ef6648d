/** How many past epochs are known. */
const mostEpochs = 16;

/**
 * What Redis does in one atomic step each. The scripts work on two keys in one hash slot, so that they run on a cluster:
 *
 * - the state, a hash for all feeds: `epoch`; `offset` of the last message; `run` and `past`, see below; `unkept`, the offset of the last
 *   message that was larger than its feed's history; `ttl`, the shortest time to live that any process had; and up to 65,536 slots that
 *   feeds share by a hash, each with the offset of the last message of the feed that used it last. They tell what has been trimmed of feeds
 *   whose stream has expired, in a space that does not grow with the number of feeds.
 * - the feed's stream. An entry's id is its message's offset, its one field the message as it is announced, see `redis-message.ts`.
 *
 * Offsets are microseconds since 1970 by the clock of Redis, one more where that has not moved.
 *
 * Redis may come back without its last messages: from a snapshot, a backup, or a replica that was behind. Each of these gives it another
 * replication id (`run`), and that begins another epoch. `past` has the epochs before it and the offset at which each ended, as Redis has
 * it: positions up to there are as good as before. A position beyond its epoch's end proves that messages have been lost, and then nothing
 * tells of which feeds: an epoch without a past begins, and every position before it is unknown. `broken` has the epochs before that, which
 * processes need to find out what they have received and Redis still has.
 */
const common = `
local function text(number) return string.format('%.0f', number) end

local state = redis.call('HMGET', KEYS[1], 'epoch', 'offset', 'unkept', ARGV[1], 'past', 'ttl', 'broken')
local epoch, last, unkept, past = state[1], tonumber(state[2] or 0), tonumber(state[3] or 0), state[5] or ''
if not epoch then
  epoch = ARGV[3]
  redis.call('HSET', KEYS[1], 'epoch', epoch)
end
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- The offset up to which Redis has an epoch that is in a list.
local function ended(list, name)
  for each, offset in list:gmatch('(%S+) (%d+)') do
    if each == name then return tonumber(offset) end
  end
end

-- Begins another epoch; the one until now is added to a list.
local function begin(field, list)
  local entries, count = epoch .. ' ' .. text(last), 1
  for entry in list:gmatch('%S+ %d+') do
    -- Who was away for longer has no history to resume from.
    if count < ${mostEpochs} then entries = entries .. ' ' .. entry end
    count = count + 1
  end
  epoch = ARGV[3]
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'past', '', field, entries)
  return entries
end

local function tellLoss() begin('broken', past .. ' ' .. (state[7] or '')) end

-- For a feed without a stream: the offset up to which its messages have been trimmed, and whether that is exactly its last message's.
-- It is not where another feed has used the slot since; then the messages were stored longer ago than the time to live.
local function trimmed(ttl)
  if not state[4] then return 0, true end
  local offset, check = state[4]:match('^(%d+) (%x+)$')
  offset = tonumber(offset)
  if check == ARGV[2] then return offset, true end
  return math.min(offset, math.max(now - math.min(ttl, tonumber(state[6] or ttl)), unkept, 0)), false
end
`;

/**
 * Reads a stream that another program may have written to. Its entries are behind all messages: the next message that a node appends begins
 * such a stream anew.
 */
const entries = `
-- The message of an entry; nil for another program's.
local function own(entry)
  local fields = entry[2]
  if #fields ~= 2 or fields[1] ~= 'm' then return nil end
  local offset = fields[2]:match('^%w+ (%d+) %d+ [01] %d+ [jt]\\n')
  if offset and offset .. '-0' == entry[1] then return fields[2] end
end

-- Entries of the feed; none where another program has stored something else in its place.
local function range(command, from, to, count)
  local found = redis.pcall(command, KEYS[2], from, to, 'COUNT', count)
  if not found.err then return found end
  if found.err:find('WRONGTYPE', 1, true) then return {} end
  return redis.call(command, KEYS[2], from, to, 'COUNT', count)
end
`;

/**
 * Finds out whether Redis is the one that it was, at the beginning of a connection and then every second.
 *
 * KEYS: state. ARGV: slot, check, epoch to begin with, ttl in µs, the last offset that the process has received, its epoch. Returns epoch,
 * offset of the last message of all feeds, whether Redis has all that the process has received, up to where it has, and the time in µs.
 */
export const beat = `${common}
-- A user may not be allowed to ask; then only what processes have received shows that messages are lost.
local info = redis.pcall('INFO', 'replication')
if type(info) == 'string' then
  if info:match('role:(%a+)') == 'slave' then return redis.error_reply('READONLY it is a replica') end
  local run, before = info:match('master_replid:(%w+)'), redis.call('HGET', KEYS[1], 'run')
  if run and run ~= before then
    if before then past = begin('past', past) end
    redis.call('HSET', KEYS[1], 'run', run)
  end
end
if not state[6] or tonumber(ARGV[4]) < tonumber(state[6]) then redis.call('HSET', KEYS[1], 'ttl', ARGV[4]) end
local received, name = tonumber(ARGV[5]), ARGV[6]
-- In this epoch, Redis has lost messages if it does not tell its replication id.
local kept = name == epoch and last or ended(past, name)
local isKnown = kept and received <= kept
if kept and not isKnown then tellLoss() end
kept = kept or ended(state[7] or '', name) or 0
return { epoch, text(last), isKnown and 1 or 0, text(math.min(received, kept)), text(now) }
`;

/**
 * Appends a message to a feed and announces it, with the offset of the message before it.
 *
 * KEYS: state, stream. ARGV: slot, check, epoch to begin with, ttl in µs, messages stored, bytes stored, overhead of a message in bytes,
 * kind, type, text, what the channel's name has behind the hash tag, and the time in µs after which nothing is stored any more, because
 * the publisher has been told so. Returns epoch and offset.
 */
export const append = `${common}${entries}
local ttl, mostMessages, mostBytes, overhead = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
if now > tonumber(ARGV[12]) then return redis.error_reply('LATE the command arrived too late') end
local offset = math.max(now, last + 1)
local id = text(offset)

local function before(message) return tonumber(message:match('^%S+ %S+ %S+ %S+ (%d+)')) end
local function size(message) return #message - message:find('\\n', 1, true) - 1 + overhead end

-- Begins the stream anew: its messages count as trimmed.
local function clear()
  redis.call('DEL', KEYS[2])
  unkept = last
  redis.call('HSET', KEYS[1], 'unkept', text(last))
end

local previous, isExact, total
local newest = range('XREVRANGE', '+', '-', 1)[1]
local message = newest and own(newest)
if newest and not message then clear() end
if message then
  previous, isExact, total = tonumber(newest[1]:match('^%d+')), true, before(message) + size(message)
else
  previous, isExact = trimmed(ttl)
  total = 0
end
local head = table.concat({ epoch, id, text(previous), isExact and '1' or '0', text(total), ARGV[8] }, ' ')
message = head .. '\\n' .. ARGV[9] .. '\\n' .. ARGV[10]
total = total + size(message)

if mostMessages == 0 then
  -- What others store of this feed would have a gap here.
  redis.call('DEL', KEYS[2])
else
  local function add() return redis.pcall('XADD', KEYS[2], 'MAXLEN', mostMessages, id .. '-0', 'm', message) end
  local added = add()
  -- It is no stream, or had an entry with a higher id.
  if added.err and (added.err:find('WRONGTYPE', 1, true) or added.err:find('equal or smaller', 1, true)) then
    clear()
    added = add()
  end
  if added.err then return added end
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
redis.call('SPUBLISH', (KEYS[2]:gsub('}', '}' .. ARGV[11], 1)), message)
return { epoch, id }
`;

/**
 * Reads a page of a feed: as many messages as the limit on bytes allows, and at least one.
 *
 * KEYS: state, stream. ARGV: slot, check, epoch to begin with, ttl in µs, where to begin (an offset, or \`earliest\`, \`newest\`, \`end\`), the
 * epoch of that offset, the last offset to read (or \`+\`), the limit in bytes, and whether it also holds for the first message. Returns
 * epoch, offset of the last message of all feeds, whether the position is known, the offset up to which messages have been trimmed before
 * the first one after the position, whether that is exact, the offset of the last message of the page where more follow (or an empty text),
 * and messages.
 */
export const read = `${common}${entries}
local ttl, start, upTo, limit = tonumber(ARGV[4]), ARGV[5], ARGV[7], tonumber(ARGV[8])
local isStrict = ARGV[9] == '1'
local least = math.max(now - ttl, 0)
local isKnown, moreAfter = true, ''
local messages = {}
local dropped, isExact = '0', '1'

-- A few entries at a time: the stream may be many times the limit.
local function readPage(id)
  local bytes, from, count = 0, id, isStrict and 8 or 32
  repeat
    local entries = range('XRANGE', from, upTo, count)
    for _, entry in ipairs(entries) do
      local message = own(entry)
      if not message then return '' end
      bytes = bytes + #message
      if bytes > limit and (isStrict or #messages > 0) then return id:match('^%d+') end
      messages[#messages + 1] = message
      id = entry[1]
      from = '(' .. id
    end
  until #entries < count
  return ''
end

if start == 'newest' then
  local newest = range('XREVRANGE', '+', text(least), 1)[1]
  if newest and not own(newest) then
    local offset = trimmed(ttl)
    newest = offset >= least and range('XRANGE', text(offset), text(offset), 1)[1]
  end
  messages[1] = newest and own(newest) or nil
elseif start ~= 'end' then
  local after = tonumber(start)
  local kept = ARGV[6] == epoch and last or ended(past, ARGV[6])
  isKnown = after ~= nil and kept ~= nil and after <= kept
  -- Such a position can be made up: once after each restart, since no epoch is a past one then.
  if after and kept and not isKnown and ARGV[6] ~= epoch then tellLoss() end
  if isKnown then least = math.max(least, after + 1) end
  local first = range('XRANGE', text(least), '+', 1)[1]
  local message = first and own(first)
  if message then
    dropped, isExact = message:match('^%S+ %S+ (%d+) (%d)')
    moreAfter = readPage(text(least))
  else
    local offset, isLast = trimmed(ttl)
    dropped, isExact = text(offset), isLast and '1' or '0'
  end
end
return { epoch, text(last), isKnown and 1 or 0, dropped, tonumber(isExact), moreAfter, messages }
`;
