-- KEYS accepted, viewers, lock; ARGV deadline ms of this clock, who, claim (empty: none), the order's
-- channel, what an announcement begins with, the event up to the fence, the rest of it.
-- Answers 'first' or 'again', who, the fence and the event (empty: told to all); 'accepted' or 'locked' and
-- by whom; or 'late'.
local time = redis.call('TIME')
if time[1] * 1000 + math.floor(time[2] / 1000) > tonumber(ARGV[1]) then return {'late', '', '', ''} end
local by, fence, claim, event = unpack(redis.call('HMGET', KEYS[1], 'by', 'fence', 'claim', 'event'))
if by then
  if by == ARGV[2] or (ARGV[3] ~= '' and claim == ARGV[3]) then return {'again', by, fence, event or ''} end
  return {'accepted', by, '', ''}
end
local lock, last = redis.call('GET', KEYS[3]), 0
if lock then
  last = string.sub(lock, 15, 30)
  if string.sub(lock, 1, 13) - time[1] * 1000 - math.floor(time[2] / 1000) >= 0 then
    local holder = string.match(lock, '^' .. string.rep('[^|]*|', 6) .. '([^|]*)')
    if holder ~= ARGV[2] then return {'locked', holder, '', ''} end
  end
end
fence = string.format('%.0f', math.max(last + 1, time[1] * 1000000 + time[2]))
event = ARGV[6] .. fence .. ARGV[7]
if lock then
  redis.call('SETRANGE', KEYS[3], 14, string.format('%016.0f', fence))
else
  redis.call('SET', KEYS[3], '0000000000000|' .. string.format('%016.0f', fence) .. '|-|')
end
redis.call('EXPIRE', KEYS[3], 86400)
redis.call('HSET', KEYS[1], 'by', ARGV[2], 'fence', fence, 'claim', ARGV[3], 'event', event)
redis.call('EXPIRE', KEYS[1], 86400)
redis.call('PUBLISH', ARGV[4], ARGV[5] .. event)
return {'first', ARGV[2], fence, event}
