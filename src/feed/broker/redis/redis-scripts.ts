import { messageOverhead } from '../history-bounds.js';

/** How many past epochs are known. */
const mostEpochs = 16;

/**
 * What Redis does in one atomic step each. The scripts work on two keys in one hash slot, so that they run on a cluster:
 *
 * - the state, a hash for all feeds: `epoch`; `offset` of the last message; `run` and `past`, see below; `unkept`, the offset of the last
 *   message that was larger than its feed's history; `ttl`, the shortest time to live that any process had for a feed; and up to 65,536 slots that
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
 * processes need to find out what they have received and Redis still has. In a split brain, a process may be on the losing side for longer
 * than the one whose position proved the loss: `told` has, by epoch, the last offset of such a proof, and a later one is another loss.
 */
export const common = `
local function text(number) return string.format('%.0f', number) end

local state = redis.call('HMGET', KEYS[1], 'epoch', 'offset', 'unkept', 'past', 'ttl', 'broken', 'told')
local epoch, last, unkept, past = state[1], tonumber(state[2] or 0), tonumber(state[3] or 0), state[4] or ''
local broken, told = state[6] or '', state[7] or ''
if not epoch then
  epoch = ARGV[1]
  redis.call('HSET', KEYS[1], 'epoch', epoch)
end
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- The offset that an epoch has in a list: up to which Redis has it, or for \`told\` see above.
local function ended(list, name)
  for each, offset in list:gmatch('(%S+) (%d+)') do
    if each == name then return tonumber(offset) end
  end
end

-- A list with another epoch at its beginning.
local function with(name, offset, list)
  local entries, count = name .. ' ' .. text(offset), 1
  for entry in list:gmatch('%S+ %d+') do
    -- Who was away for longer has no history to resume from.
    if count < ${mostEpochs} then entries = entries .. ' ' .. entry end
    count = count + 1
  end
  return entries
end

-- Begins another epoch; the one until now is added to a list.
local function begin(field, list)
  local entries = with(epoch, last, list)
  epoch = ARGV[1]
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'past', '', field, entries)
  return entries
end

local function tellLoss() broken = begin('broken', past .. ' ' .. broken) end

-- For a feed without a stream: the offset up to which its messages have been trimmed, and whether that is exactly its last message's.
-- It is not where another feed has used the slot since; then the messages were stored longer ago than the time to live.
local function trimmed(ttl, slot, check)
  local entry = redis.call('HGET', KEYS[1], slot)
  if not entry then return 0, true end
  local offset, user = entry:match('^(%d+) (%x+)$')
  offset = tonumber(offset)
  if check == user then return offset, true end
  return math.min(offset, math.max(now - math.min(ttl, tonumber(state[5] or ttl)), unkept, 0)), false
end
`;

/**
 * Reads a stream that another program may have written to. Its entries are behind all messages: the next message that a node appends begins
 * such a stream anew.
 */
export const entries = `
-- The message of an entry; nil for another program's.
local function own(entry)
  local fields = entry[2]
  if #fields ~= 2 or fields[1] ~= 'm' then return nil end
  local offset, trace = fields[2]:match('^%w+ (%d+) %d+ [01] %d+ [jt]([ -~]*)\\n')
  if offset and offset .. '-0' == entry[1] and (trace == '' or trace:find('^ [!-~]')) then return fields[2] end
end

-- Whether a message is its feed's last one: its type is the second line. One that does not say how the feed has ended is another program's.
local function isEnd(message)
  local at = message:find('\\n', 1, true)
  if message:sub(at, at + 4) ~= '\\nend\\n' then return false end
  local json = message:find('^%S+ %S+ %S+ %S+ %S+ j') and message:match('^[^\\r\\n]+$', at + 5)
  local isRead, told = pcall(cjson.decode, json)
  if not isRead or type(told) ~= 'table' or (told.message ~= nil and type(told.message) ~= 'string') then return false end
  return told.reason == 'completed' or told.reason == 'failed' or told.reason == 'stopped'
end

-- Entries of the feed; none where another program has stored something else in its place.
local function range(command, key, from, to, count)
  local found = redis.pcall(command, key, from, to, 'COUNT', count)
  if not found.err then return found end
  if found.err:find('WRONGTYPE', 1, true) then return {} end
  return redis.call(command, key, from, to, 'COUNT', count)
end
`;

/** What a message counts as among the bytes of its feed. */
export const sizes = `
local function bytesBefore(message) return tonumber(message:match('^%S+ %S+ %S+ %S+ (%d+)')) end
-- Of its first line, the trace behind the kind counts.
local function size(message)
  local _, kind = message:find(' [jt]')
  return #message - kind - 2 + ${messageOverhead}
end
`;

/**
 * Finds out whether Redis is the one that it was, at the beginning of a connection and then every second.
 *
 * KEYS: state. ARGV: epoch to begin with, the shortest ttl in µs, the last offset that the process has received, its epoch, the channel to
 * which each process has subscribed. Returns epoch, offset of the last message of all feeds, whether Redis has all that the process has
 * received, up to where it has, the time in µs, and how many processes there are.
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
if not state[5] or tonumber(ARGV[2]) < tonumber(state[5]) then redis.call('HSET', KEYS[1], 'ttl', ARGV[2]) end
local received, name = tonumber(ARGV[3]), ARGV[4]
-- In this epoch, Redis has lost messages if it does not tell its replication id.
local kept = name == epoch and last or ended(past, name)
local isKnown = kept and received <= kept
kept = kept or ended(broken, name)
if kept and received > math.max(kept, ended(told, name) or 0) then
  tellLoss()
  redis.call('HSET', KEYS[1], 'told', with(name, received, told))
end
local processes = redis.pcall('PUBSUB', 'SHARDNUMSUB', ARGV[5])
return { epoch, text(last), isKnown and 1 or 0, text(kept or 0), text(now), processes[2] or 1 }
`;

/**
 * Begins what changes a feed, as its next message or without one.
 *
 * KEYS: state, stream. ARGV: epoch to begin with, ttl in µs, slot, check, what the channel's name has behind the hash tag, and the time in
 * µs after which nothing is stored any more, because the publisher has been told so.
 */
const change = `
local ttl, slot, check, mark = tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
if now > tonumber(ARGV[6]) then return redis.error_reply('LATE the command arrived too late') end
local offset = math.max(now, last + 1)
local id = text(offset)
local newest = range('XREVRANGE', KEYS[2], '+', '-', 1)[1]
local before = newest and own(newest)

-- The offset of the feed's last message, and whether that is exact.
local function lastOfFeed()
  if before then return tonumber(newest[1]:match('^%d+')), true end
  return trimmed(ttl, slot, check)
end

-- Whether a feed whose last message has the offset \`previous\` has one after a position, or Redis has never given that position.
local function isPassed(offset, name, previous)
  local at = tonumber(offset)
  local kept = name == epoch and last or ended(past, name)
  return not kept or at > kept or previous > at
end

local function announce(message)
  redis.call('HSET', KEYS[1], 'offset', id, slot, id .. ' ' .. check)
  redis.call('SPUBLISH', (KEYS[2]:gsub('}', '}' .. mark, 1)), message)
end
`;

/**
 * Appends a message to a feed and announces it, with the offset of the message before it.
 *
 * KEYS and ARGV: see \`change\`; and KEYS: where the message has a key, what is known of that, and the offset up to which the feed's keys are
 * forgotten. ARGV: messages stored, bytes stored, whether the feed's newest message is stored beyond its ttl (1), kind and trace, type, text,
 * and where it depends on something, the offset after which the feed must have no message (or an empty text), the epoch of that offset, a
 * digest of the message, and how long its key is known in ms. Returns epoch and offset, and whether the message has been appended before; or
 * \`ended\`, \`position\` or \`key\` where it has not been appended for that.
 */
export const append = `${common}${entries}${sizes}${change}
local mostMessages, mostBytes = tonumber(ARGV[7]), tonumber(ARGV[8])
local keepsNewest = ARGV[9] == '1'
if KEYS[3] then
  local known = redis.call('GET', KEYS[3])
  if known then
    local digest, name, at = known:match('^(%S+) (%S+) (%d+)$')
    -- The offsets of one epoch go on from those of the epoch before.
    local isForgotten = tonumber(at) <= tonumber(redis.call('GET', KEYS[4]) or 0)
    if not isForgotten and digest ~= ARGV[15] then return { 'key' } end
    if not isForgotten then return { name, at, 1 } end
  end
end
if before and isEnd(before) then return { 'ended' } end

-- Begins the stream anew: its messages count as trimmed.
local function clear()
  redis.call('DEL', KEYS[2])
  unkept = last
  redis.call('HSET', KEYS[1], 'unkept', text(last))
end

if newest and not before then clear() end
local previous, isExact = lastOfFeed()
if ARGV[13] and ARGV[13] ~= '' and isPassed(ARGV[13], ARGV[14], previous) then return { 'position' } end
local total = before and bytesBefore(before) + size(before) or 0
local head = table.concat({ epoch, id, text(previous), isExact and '1' or '0', text(total), ARGV[10] }, ' ')
local message = head .. '\\n' .. ARGV[11] .. '\\n' .. ARGV[12]
total = total + size(message)
-- The end of a feed is stored whatever the bounds are.
local isLast = isEnd(message)
if isLast then mostMessages = math.max(mostMessages, 1) end

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
  if keepsNewest and not isLast then redis.call('PERSIST', KEYS[2]) else redis.call('PEXPIRE', KEYS[2], text(ttl / 1000)) end
  while total > mostBytes do
    local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
    if not oldest or total - bytesBefore(oldest[2][2]) <= mostBytes or (isLast and oldest[1] == id .. '-0') then break end
    redis.call('XDEL', KEYS[2], oldest[1])
  end
end
if mostMessages == 0 or redis.call('XLEN', KEYS[2]) == 0 then redis.call('HSET', KEYS[1], 'unkept', id) end
if KEYS[3] then redis.call('SET', KEYS[3], ARGV[15] .. ' ' .. epoch .. ' ' .. id, 'PX', ARGV[16]) end
announce(message)
return { epoch, id, 0 }
`;

/**
 * Removes what is stored of a feed, forgets its keys, and announces that.
 *
 * KEYS and ARGV: see \`change\`; and KEYS: the offset up to which the feed's keys are forgotten. ARGV: how long a key is known in ms, and where
 * it depends on something, the offset after which the feed must have no message, and its epoch. Returns epoch and offset; or \`position\`
 * where it has not been cleared for that.
 */
export const clear = `${common}${entries}${change}
local previous, isExact = lastOfFeed()
if ARGV[8] and isPassed(ARGV[8], ARGV[9], previous) then return { 'position' } end
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[1], 'unkept', id)
redis.call('SET', KEYS[3], id, 'PX', ARGV[7])
announce(table.concat({ epoch, id, text(previous), isExact and '1' or '0', '0', 'c' }, ' ') .. '\\n\\n')
return { epoch, id }
`;
