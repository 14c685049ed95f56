-- The rest of an acquisition: the lock is held, or somebody may stand in line.
local me = ARGV[6]
if left >= 0 then
  if ARGV[5] ~= '' and string.match(lock, CLAIM) == ARGV[5] then return {'again', lock, left} end
else
  local turn = redis.call('GET', KEYS[2])
  if not turn then return grant('-') end
  local whose, of_turn = pass_turn(turn, now, now_us, me)
  if not whose or whose == me then
    redis.call('ZREM', KEYS[3], me)
    if redis.call('ZCARD', KEYS[3]) == 0 then
      redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
      return grant('-')
    end
    redis.call('SET', KEYS[2], '0|', 'PX', KEPT)
    return grant('w')
  end
  lock, left = '', of_turn
end
if me == '' then return {'denied', lock, left} end
if not redis.call('ZSCORE', KEYS[3], me) then
  if redis.call('ZCARD', KEYS[3]) >= WAITERS_MAX then return {'denied', lock, left} end
  to_the_end(me, now_us, 'NX')
  redis.call('SET', KEYS[2], '0|', 'NX')
  redis.call('SETRANGE', KEYS[1], 31, 'w')
  redis.call('HSET', KEYS[4], string.match(me, '^[^|]*'), string.format('%d', now + ALIVE))
  keep_line()
end
return {'waiting', lock, left}
