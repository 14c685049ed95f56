-- KEYS accepted, viewers, lock, topic; ARGV deadline ms of this clock, who, claim (empty: none), life, most messages,
-- most bytes, age ms, what a message of the order's log begins with on the bus, the event up to the fence, the
-- rest of it. Answers 'first' or 'again', who, the fence and the event (empty: told to all); 'accepted' or
-- 'locked' and by whom; or 'late'.
local time = redis.call('TIME')
if clock_ms(time) > tonumber(ARGV[1]) then return {'late', '', '', ''} end
local by, fence, claim, event = unpack(redis.call('HMGET', KEYS[1], 'by', 'fence', 'claim', 'event'))
if by then
  if by == ARGV[2] or (ARGV[3] ~= '' and claim == ARGV[3]) then return {'again', by, fence, event or ''} end
  return {'accepted', by, '', ''}
end
local lock, last = redis.call('GET', KEYS[3]), 0
if lock then
  last = string.sub(lock, 15, 30)
  if string.sub(lock, 1, 13) - clock_ms(time) >= 0 then
    local holder = string.match(lock, '^' .. string.rep('[^|]*|', 6) .. '([^|]*)')
    if holder ~= ARGV[2] then return {'locked', holder, '', ''} end
  end
end
fence = string.format('%.0f', math.max(last + 1, time[1] * 1000000 + time[2]))
event = ARGV[9] .. fence .. ARGV[10]
if lock then
  redis.call('SETRANGE', KEYS[3], 14, string.format('%016.0f', fence))
else
  redis.call('SET', KEYS[3], '0000000000000|' .. string.format('%016.0f', fence) .. '|-|')
end
redis.call('EXPIRE', KEYS[3], 86400)
redis.call('HSET', KEYS[1], 'by', ARGV[2], 'fence', fence, 'claim', ARGV[3], 'event', event)
redis.call('EXPIRE', KEYS[1], 86400)
local epoch, offset = append(KEYS[4], event, nil, time, ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]))
tell_logged(KEYS[4], ARGV[8], epoch, offset, event)
return {'first', ARGV[2], fence, event}
