-- KEYS lock. Answers the lock, ms left and how many wait; nothing if it is not held.
local lock = redis.call('GET', KEYS[1])
if not lock then return false end
local time = redis.call('TIME')
local left = string.sub(lock, 1, 13) - time[1] * 1000 - math.floor(time[2] / 1000)
if left < 0 then return false end
return {lock, left, redis.call('ZCARD', KEYS[1] .. ':waiters')}
