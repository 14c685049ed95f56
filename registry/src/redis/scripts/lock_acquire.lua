-- ARGV deadline ms of this clock, token, ttl ms, `owner|claim`, claim (empty: none), waiter (empty: does not
-- wait), then as every script of a lock. The lock holds `token|fence|ttl|owner|claim`.
-- Answers 'granted' and the fence; 'again', the lock and ms left, for a claim that holds it; 'waiting' or
-- 'denied', the lock (empty: it is another's turn) and ms until that ends; or 'late'.
local now, now_us = clock()
if now > tonumber(ARGV[1]) then return {'late', '', 0} end
local lock, last, turn = unpack(redis.call('MGET', KEYS[1], KEYS[2], KEYS[3]))
local me, left = ARGV[6], 0
if lock then
  left = redis.call('PTTL', KEYS[1])
  if ARGV[5] ~= '' and string.match(lock, '^[^|]*|[^|]*|[^|]*|[^|]*|(.*)$') == ARGV[5] then
    return {'again', lock, left}
  end
elseif turn then
  local whose
  whose, left = pass_turn(turn, now, now_us, me)
  if whose and whose ~= me then lock = '' end
end
if not lock then
  local fence = string.format('%.0f', math.max((tonumber(last) or 0) + 1, now_us))
  redis.call('SET', KEYS[1], ARGV[2] .. '|' .. fence .. '|' .. ARGV[3] .. '|' .. ARGV[4], 'PX', ARGV[3])
  redis.call('SET', KEYS[2], fence, 'EX', 86400)
  if turn then
    redis.call('ZREM', KEYS[4], me)
    if redis.call('ZCARD', KEYS[4]) == 0 then
      redis.call('DEL', KEYS[3], KEYS[4], KEYS[5])
    else
      redis.call('SET', KEYS[3], '0|', 'PX', KEPT)
    end
  end
  return {'granted', fence, 0}
end
if me == '' then return {'denied', lock, left} end
if not redis.call('ZSCORE', KEYS[4], me) then
  if redis.call('ZCARD', KEYS[4]) >= WAITERS_MAX then return {'denied', lock, left} end
  to_the_end(me, now_us, 'NX')
  if not turn then redis.call('SET', KEYS[3], '0|') end
  redis.call('HSET', KEYS[5], string.match(me, '^[^|]*'), string.format('%.0f', now + ALIVE))
  keep_line()
end
return {'waiting', lock, left}
