import { common, entries } from './redis-scripts.js';

/**
 * Reads a page of each of some feeds: as many messages as the limits on bytes allow, and of the first feed at least one.
 *
 * KEYS: state, streams. ARGV: epoch to begin with, the limit on bytes for all feeds, and for each of them: slot, check, where to begin (an
 * offset, \`earliest\`, \`last\`, \`newest\`, or \`end\`), the epoch of that offset (\`*\`: any) or how many messages \`last\` are, the last offset to
 * read (or \`+\`), the limit on bytes, ttl in µs, whether the newest message is stored beyond it (1). Returns epoch, offset of the last message
 * of all feeds, and of each feed, or 0 where it found no room: whether the position is known, the offset up to which messages have been
 * trimmed before the first one after the position, whether that is exact, the offset of the last message of the page where more follow (or an
 * empty text), messages, and where they do not tell, whether the feed has ended.
 */
export const read = `${common}${entries}
local left = tonumber(ARGV[2])
local pages = {}

-- The offset from which on messages are stored: they may be older than their time to live in a stream that has not been trimmed since.
local function oldest(key, ttl, keepsNewest)
  local least = math.max(now - ttl, 0)
  local newest = keepsNewest and range('XREVRANGE', key, '+', '-', 1)[1]
  local message = newest and own(newest)
  if not message or isEnd(message) then return least end
  return math.min(least, tonumber(newest[1]:match('^%d+')))
end

-- The last entries of a feed from an offset on, the newest first, but not those that another program has put behind them.
local function lastEntries(key, slot, check, count, least, ttl)
  local found = range('XREVRANGE', key, '+', text(least), count)
  if not found[1] or own(found[1]) then return found end
  local offset, isExact = trimmed(ttl, slot, check)
  return isExact and offset >= least and range('XREVRANGE', key, text(offset) .. '-0', text(least), count) or {}
end

local function reversed(entries)
  local result = {}
  for n = #entries, 1, -1 do result[#result + 1] = entries[n] end
  return result
end

-- A few entries at a time, unless they are there already: a stream may be many times the limit. Returns nothing where others have left too
-- little room.
local function readPage(key, least, upTo, limit, found)
  local messages, bytes, id, from, count = {}, 0, nil, text(least), found and #found + 1 or 8
  local most = math.min(limit, left)
  while true do
    local entries = found or range('XRANGE', key, from, upTo, count)
    for _, entry in ipairs(entries) do
      local message = own(entry)
      if not message then
        left = left - bytes
        return messages, ''
      end
      if bytes + #message > most then
        if #pages > 0 and (limit > left or (#messages == 0 and #message > left)) then return end
        if #messages > 0 then
          left = left - bytes
          return messages, id:match('^%d+')
        end
      end
      bytes = bytes + #message
      messages[#messages + 1] = message
      id = entry[1]
    end
    if #entries < count then
      left = left - bytes
      return messages, ''
    end
    from = '(' .. id
    count = 32
  end
end

local function read(key, slot, check, start, name, upTo, limit, ttl, keepsNewest)
  local stored = oldest(key, ttl, keepsNewest)
  local least = stored
  if start == 'newest' or start == 'end' then
    local newest = lastEntries(key, slot, check, 1, stored, ttl)[1]
    local message = newest and own(newest)
    if message and start == 'end' and not isEnd(message) then message = nil end
    if message and #pages > 0 and #message > left then return 0 end
    if message then left = left - #message end
    return { 1, '0', 1, '', message and { message } or {}, message and isEnd(message) and 1 or 0 }
  end
  local after = tonumber(start)
  local kept = name == epoch and last or ended(past, name)
  local isKnown = after ~= nil and (name == '*' or kept ~= nil and after <= kept)
  -- Such a position can be made up: once after each restart, since no epoch is a past one then.
  if after and kept and not isKnown and name ~= epoch then tellLoss() end
  if isKnown then least = math.max(least, after + 1) end
  local found = start == 'last' and reversed(lastEntries(key, slot, check, tonumber(name), stored, ttl)) or nil
  local messages, moreAfter = readPage(key, least, upTo, limit, found)
  if not messages then return 0 end
  local first = messages[1]
  if not first and upTo ~= '+' then
    local entry = range('XRANGE', key, text(least), '+', 1)[1]
    first = entry and own(entry)
  end
  local dropped, isExact
  if first then
    dropped, isExact = first:match('^%S+ %S+ (%d+) (%d)')
  else
    local offset, isLast = trimmed(ttl, slot, check)
    dropped, isExact = text(offset), isLast and '1' or '0'
  end
  -- A page that has messages tells it by the last one.
  local newest = #messages == 0 and upTo == '+' and range('XREVRANGE', key, '+', text(stored), 1)[1]
  local final = newest and own(newest)
  return { isKnown and 1 or 0, dropped, tonumber(isExact), moreAfter, messages, final and isEnd(final) and 1 or 0 }
end

for n = 2, #KEYS do
  local arg = 8 * n - 13
  -- After a feed that found no room, no other is read: a page that is thrown away costs as much as one that is sent.
  pages[n - 1] = pages[n - 2] == 0 and 0 or read(KEYS[n], ARGV[arg], ARGV[arg + 1], ARGV[arg + 2], ARGV[arg + 3], ARGV[arg + 4], tonumber(ARGV[arg + 5]),
    tonumber(ARGV[arg + 6]), ARGV[arg + 7] == '1')
end
return { epoch, text(last), pages }
`;
