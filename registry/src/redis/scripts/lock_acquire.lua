-- ARGV deadline ms of this clock, token, ttl ms, `owner|claim`, claim (empty: none), waiter (empty: does not
-- wait), then as every script of a lock.
-- Answers 'granted' and the fence; 'again', the lock and ms left, for a claim that holds it; 'waiting' or
-- 'denied', the lock (empty: it is another's turn) and ms until that ends; or 'late'.
-- What most acquisitions need comes first: defining what the others share costs a microsecond.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return {'late', '', 0} end
local now_us = time[1] * 1000000 + time[2]
local lock = redis.call('GET', KEYS[1])
local left, last, line = -1, 0, '-'
if lock then
  left, last, line = string.sub(lock, 1, 13) - now, string.sub(lock, 15, 30), string.sub(lock, 32, 32)
end

local function grant(line)
  local fence = string.format('%016d', math.max(last + 1, now_us))
  local ends = string.format('%013d', now + ARGV[3])
  redis.call('SETEX', KEYS[1], '86400', ends .. '|' .. fence .. '|' .. line .. '|' .. ARGV[2] .. '|' .. fence
    .. '|' .. ARGV[3] .. '|' .. ARGV[4])
  return {'granted', fence, 0}
end

if left < 0 and line == '-' then return grant('-') end
